"""How text is made: drafts, batches, prompts' beginnings, whole characters, exact scores of
quotations, and JSON that fits a schema."""
