// Who is logged in: the way out, and back to the login when the session has ended.
(() => {
  const ask = async () => {
    const reply = await fetch(new URL("session", document.baseURI), { headers: { Accept: "application/json" } });
    if (reply.status === 401) location.assign(new URL("login", document.baseURI));
    return reply.ok ? reply.json() : { login: false };
  };

  const link = (words) => {
    const made = document.createElement("a");
    made.href = "logout";
    made.className = "ob-plain ob-logout";
    const both = document.createElement("span");
    both.className = "t";
    for (const [code, text] of Object.entries(words)) {
      const one = document.createElement("span");
      one.lang = code;
      one.textContent = text;
      both.append(one);
    }
    made.append(both);
    return made;
  };

  const show = (said) => {
    if (!said.login) return;
    for (const place of document.querySelectorAll("#ob-header .ob-wide, #ob-left-foot .ob-narrow")) {
      if (!place.querySelector(".ob-logout")) place.append(link(said.words));
    }
  };

  const start = async () => {
    const said = await ask();
    const wait = setInterval(() => {
      if (!document.querySelector("#ob-header .ob-wide")) return;
      clearInterval(wait);
      show(said);
    }, 100);
    if (!said.login) clearInterval(wait);
    else document.addEventListener("visibilitychange", () => { if (!document.hidden) ask().catch(() => {}); });
  };

  start().catch(() => {});
})();
