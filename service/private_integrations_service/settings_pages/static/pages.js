// What the pages can do only with a script. All of them work without it.
"use strict";

// Times: the reader's own zone in the text (of `at`) or on hover, always with the UTC instant.
const clockFace = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const zone = clockFace.resolvedOptions().timeZone;
for (const time of document.querySelectorAll("time[datetime]")) {
  const here = clockFace.format(new Date(time.dateTime));
  time.title = time.classList.contains("at") ? `${time.title} (UTC)` : `${here} ${zone}, ${time.title}`;
  if (time.classList.contains("at")) time.textContent = here;
}

// Copy and save, where the text must not pass through an address.
async function copy(source) {
  if (navigator.clipboard) return navigator.clipboard.writeText(source.textContent);
  getSelection().selectAllChildren(source);
  if (!document.execCommand("copy")) throw new Error("not allowed");
}
function save(source, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([source.textContent, "\n"], { type: "text/plain" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
for (const button of document.querySelectorAll("[data-copy], [data-save]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy ?? button.dataset.save);
    const said = button.parentElement.querySelector("[role=status]");
    try {
      if (button.dataset.save) save(source, button.dataset.name);
      else await copy(source);
      said.textContent = button.dataset.save ? "Saved" : "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      said.textContent = "Selected: copy it with your keyboard";
    }
  });
}

// A form is sent once, however often its button is pressed.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-busy", "true");
  });
}
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
  }
});

// The page with a token: reloading leads to the integration, and doesn't send the form again. A browser that keeps
// pages in memory keeps none of it.
const after = document.querySelector("[data-after]");
if (after) {
  history.replaceState(null, "", after.dataset.after);
  addEventListener("pagehide", () => document.getElementById("main").replaceChildren());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

// The section that is open is in sight, also where the row of sections is wider than the screen.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// Menus close when one looks elsewhere.
for (const menu of document.querySelectorAll("details.menu")) {
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  addEventListener("pointerdown", (event) => menu.contains(event.target) || (menu.open = false));
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
}
