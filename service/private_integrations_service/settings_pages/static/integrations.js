// Creating and editing without waiting for a button: everything here also works without this file.
"use strict";

function address(form) {
  const given = new URLSearchParams(new FormData(form));
  return `${new URL(form.action).pathname}?${given}`;
}

// What was entered stays in the address of its own step, so that going back finds it.
for (const form of document.querySelectorAll("form[data-keeps]")) {
  form.addEventListener("submit", () => {
    const given = new URLSearchParams(new FormData(form));
    history.replaceState(null, "", `${location.pathname.replace(/\/scopes$/, "")}?${given}`);
  });
}

// Searching while one types; the choice is kept up to date. The server's own page is what is shown.
for (const form of document.querySelectorAll("form[data-live]")) {
  let asking = new AbortController();
  let soon = 0;
  const stale = new Set();

  async function refresh(regions) {
    for (const region of regions) stale.add(region);
    asking.abort();
    asking = new AbortController();
    const target = address(form);
    try {
      const answer = await fetch(target, { signal: asking.signal });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const region of stale) {
        document.getElementById(region).replaceChildren(...page.getElementById(region).childNodes);
      }
      stale.clear();
      history.replaceState(null, "", target);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  }

  form.querySelector("[data-search]").addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(refresh, 150, ["choice", "chosen", "offered"]);
  });
  // Only the choice: the list keeps the focus that is in it.
  form.addEventListener("change", (event) => {
    if (event.target.name === "scope") refresh(["choice", "chosen"]);
  });
}
