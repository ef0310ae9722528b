"""Messages, rich text and markup, made by code from the same facts as `made`."""

from __future__ import annotations

from email.message import EmailMessage

from tests.ingest.formats.made import Facts


def rich_text(facts: Facts) -> bytes:
    def coded(text: str) -> str:
        return "".join(
            char if char.isascii() else f"\\u{ord(char) - 65536 if ord(char) > 32767 else ord(char)}?" for char in text
        )

    rows = "".join(
        "\\trowd\\intbl " + "".join(f"{coded(cell)}\\cell " for cell in row) + "\\row" for row in facts["table"]
    )
    return (
        f"{{\\rtf1\\ansi\\uc1{{\\fonttbl{{\\f0 Arial;}}}}{{\\stylesheet{{\\s1 heading 1;}}{{\\s2 heading 2;}}}}{{\\info{{\\title {coded(facts['title'])}}}}}"
        f"{{\\footer {coded(facts['running'])}}}\\pard\\s1 {coded(facts['first'])}\\par\\pard {coded(facts['body'])}{{\\footnote {coded(facts['note'])}}}\\par "
        f"{{\\pntext\\bullet\\tab}}{coded(facts['item'])}\\par\\pard\\s2 {coded(facts['second'])}\\par\\pard {rows}\\pard {coded(facts['more'])}\\par"
        f"{{\\v {coded(facts['deleted'])}}}{{\\*\\annotation {coded(facts['comment'])}}}}}"
    ).encode("ascii")


def message(facts: Facts, attachments: dict[str, bytes] | None = None) -> bytes:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = facts["title"], "Ada Quill <ada@example.org>", "keepers@example.org"
    made["Date"] = "Fri, 01 Mar 2024 10:00:00 +0000"
    lines = [
        facts["first"],
        facts["second"],
        facts["body"],
        facts["item"],
        facts["more"],
        facts["note"],
        *(" ".join(row) for row in facts["table"]),
    ]
    made.set_content("\n\n".join(lines))
    made.add_alternative(f"<p>{facts['deleted']}</p>", subtype="html")
    for name, data in (attachments or {}).items():
        made.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return made.as_bytes()


def latex(facts: Facts) -> str:
    rows = " \\\\\n".join(" & ".join(row) for row in facts["table"])
    body = facts["body"].replace("&", "\\&")
    return (
        f"\\documentclass{{article}}\n\\title{{{facts['title']}}}\n\\begin{{document}}\n\\section{{{facts['first']}}}\n{body}\\footnote{{{facts['note']}}} "
        f"% {facts['comment']}\n\\begin{{itemize}}\n\\item {facts['item']}\n\\end{{itemize}}\n\\subsection{{{facts['second']}}}\n\\begin{{tabular}}{{ll}}\n{rows}\n\\end{{tabular}}\n\n"
        f"{facts['more']}\n\\end{{document}}\n"
    )


def restructured(facts: Facts) -> str:
    rows = "\n".join("| " + " | ".join(row) + " |" for row in facts["table"])
    rule = {name: "=" * 2 * len(facts[name]) for name in ("title", "first", "second")}
    return (
        f"{rule['title']}\n{facts['title']}\n{rule['title']}\n\n{facts['first']}\n{rule['first']}\n\n{facts['body']}\n\n- {facts['item']}\n\n"
        f"{facts['second']}\n{rule['second'].replace('=', '-')}\n\n{rows}\n\n{facts['more']}\n\n.. note:: {facts['note']}\n"
    )


def asciidoc(facts: Facts) -> str:
    rows = "\n".join("".join(f"|{cell}" for cell in row) for row in facts["table"])
    return f"= {facts['title']}\n\n== {facts['first']}\n{facts['body']}\n\n* {facts['item']}\n\n=== {facts['second']}\n|===\n{rows}\n|===\n\n{facts['more']}\n\nNOTE: {facts['note']}\n"


def markdown(facts: Facts) -> str:
    rows = ["| " + " | ".join(row) + " |" for row in facts["table"]]
    rows.insert(1, "|---|---|")
    return (
        f"# {facts['first']}\n\n{facts['body']}\n\n- {facts['item']}\n\n## {facts['second']}\n\n"
        + "\n".join(rows)
        + f"\n\n{facts['more']}\n\n{facts['note']}\n"
    )
