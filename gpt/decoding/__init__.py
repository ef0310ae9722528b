"""How text is made: drafts, batches, prompts' beginnings, whole characters, and exact scores of quotations."""
