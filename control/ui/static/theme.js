// Before the page is drawn: the theme that was chosen here, else the system's.
(function () {
  try {
    var chosen = localStorage.getItem("meerkat-theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch (e) { /* no storage: the system's theme */ }
})();
