// What is scrolled sideways can be scrolled with the keyboard.
function reachable() {
  for (const each of document.querySelectorAll("pre, .output, .table-wrapper, math"))
    if (each.scrollWidth > each.clientWidth) each.tabIndex = 0;
}
addEventListener("load", reachable);
addEventListener("resize", reachable);
addEventListener("toggle", reachable, true); // something was unfolded

// What the theme leaves out for those who hear the page.
addEventListener("DOMContentLoaded", () => {
  for (const each of document.querySelectorAll(".caption[role=heading]")) each.ariaLevel = "2";
  for (const [name, words] of [["sidebar-drawer", "All pages"], ["toc-drawer", "On this page"]])
    for (const each of document.getElementsByClassName(name)) each.ariaLabel = words;
});
