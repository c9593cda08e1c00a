// Before anything is painted: what only scripts can do is shown, what they replace is hidden.
document.documentElement.classList.add("scripts");
