// What the page does by itself beyond htmx: the dialog, the theme, copying, and telling when it is old.
(function () {
  "use strict";
  var dialog = document.getElementById("dialog");
  var panel = document.getElementById("panel");
  var lost = document.getElementById("lost");
  var toasts = document.getElementById("toasts");
  var back = null; // what had the focus before the dialog

  function open() {
    if (!dialog.open) {
      back = document.activeElement && document.activeElement.id;
      dialog.showModal();
    }
    panel.querySelectorAll(".copy").forEach(function (b) { b.hidden = false; });
    dialog.scrollTop = 0;
    var field = panel.querySelector("input[type=text],input[type=number],select");
    (field || document.getElementById("panel-title")).focus();
  }

  dialog.addEventListener("close", function () {
    if (dialog.open) return; // opened again since
    panel.textContent = "";
    var was = back && document.getElementById(back);
    (was || document.getElementById("main")).focus({ preventScroll: true });
  });
  dialog.addEventListener("click", function (e) {
    if (e.target === dialog) dialog.close(); // beside the panel
  });
  document.addEventListener("click", function (e) {
    if (e.target.closest("#panel-close")) {
      e.preventDefault();
      dialog.close();
    }
    var copy = e.target.closest("[data-copy]");
    if (copy) {
      var text = document.getElementById(copy.dataset.copy).textContent;
      navigator.clipboard.writeText(text).then(function () { copy.textContent = "Copied"; }, function () {
        getSelection().selectAllChildren(document.getElementById(copy.dataset.copy));
      });
    }
  });
  document.body.addEventListener("htmx:afterSwap", function (e) {
    if (e.detail.target === panel) open();
  });
  if (dialog.open) { // the page came with a panel
    dialog.removeAttribute("open"); // not close(), whose event would empty the panel
    open();
  }

  var toggle = document.getElementById("theme");
  toggle.hidden = false;
  toggle.addEventListener("click", function () {
    var root = document.documentElement;
    var dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("meerkat-theme", root.dataset.theme); } catch (e) { /* it lasts until the page is closed */ }
  });

  document.body.addEventListener("htmx:sseError", function () { lost.hidden = false; });
  document.body.addEventListener("htmx:sseOpen", function () { lost.hidden = true; });
  document.body.addEventListener("htmx:sendError", function () { lost.hidden = false; });

  new MutationObserver(function (all) {
    all.forEach(function (m) {
      m.addedNodes.forEach(function (n) {
        if (n.nodeType === 1) setTimeout(function () { n.remove(); }, 8000);
      });
    });
  }).observe(toasts, { childList: true });
})();
