// The page with a new token: copying and saving it, and nothing of it left behind in the history.
"use strict";

const said = document.getElementById("copied");

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      said.textContent = "Copied.";
    } catch {
      said.textContent = "The browser did not allow it: select the text and copy it yourself.";
    }
  });
}

for (const button of document.querySelectorAll("[data-download]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const line = document.getElementById(button.dataset.download).textContent + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([line], { type: "text/plain" }));
    link.download = button.dataset.file;
    link.click();
    URL.revokeObjectURL(link.href);
    said.textContent = "Saved.";
  });
}

// Reloading leads to the integration, and doesn't send the form again.
history.replaceState(null, "", document.querySelector("[data-after]").dataset.after);
