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

// A search field over what is on the page: <input data-filter="id">, over the [data-words] in that element; a
// [data-group] without any hides too. It comes with the script.
for (const input of document.querySelectorAll("[data-filter]")) {
  const list = document.getElementById(input.dataset.filter);
  const said = document.getElementById(`${input.dataset.filter}-found`);
  const filter = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const item of list.querySelectorAll("[data-words]")) {
      const words = item.dataset.words.toLowerCase();
      item.hidden = !wanted.every((word) => words.includes(word));
      found += !item.hidden;
    }
    for (const group of list.querySelectorAll("[data-group]"))
      group.hidden = !group.querySelector("[data-words]:not([hidden])");
    if (said) said.textContent = wanted.length ? `${found} found` : "";
  };
  (input.closest("[hidden]") ?? input).hidden = false;
  input.addEventListener("input", filter);
  input.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  filter();
}

// The running choice: <output data-chosen="name" data-none="…"> lists the checked boxes of that name, which share a form.
for (const output of document.querySelectorAll("[data-chosen]")) {
  const show = () => {
    const boxes = output.closest("form").querySelectorAll(`input[name="${output.dataset.chosen}"]:checked`);
    const chosen = [...new Set([...boxes].map((box) => box.value))];
    output.textContent = chosen.length ? `${chosen.length} chosen: ${chosen.join(", ")}` : output.dataset.none;
  };
  output.closest("form").addEventListener("change", show);
  addEventListener("pageshow", show);
  show();
}

// Presets: <button type="button" data-choose="a b c" data-of="name"> checks these boxes and no others of that name.
for (const button of document.querySelectorAll("[data-choose]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const wanted = new Set(button.dataset.choose.split(" "));
    const form = button.closest("form");
    for (const box of form.querySelectorAll(`input[name="${button.dataset.of}"]`)) box.checked = wanted.has(box.value);
    form.dispatchEvent(new Event("change"));
  });
}

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
