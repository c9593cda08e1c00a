// Before anything is painted: what only scripts can do is shown, what they replace is hidden.
document.documentElement.classList.add("scripts");
// A picture that cannot be loaded is hidden: its frame says so instead of the browser's torn page.
addEventListener("error", ({ target }) => target instanceof HTMLImageElement && target.classList.add("broken"), true);
addEventListener("load", ({ target }) => target instanceof HTMLImageElement && target.classList.remove("broken"), true);
