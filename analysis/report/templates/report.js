// Nothing here is needed for reading: it opens the entry a link leads to, shows what a marker is, and sorts tables.
(function () {
  "use strict";
  function openTarget() {
    var target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (var node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (!target) return;
    var small = target.offsetHeight < innerHeight / 2 && target.tagName !== "SECTION" && target.tagName !== "ARTICLE";
    target.scrollIntoView({ block: small ? "center" : "start" }); // a row with its neighbours, a section by its head
  }
  addEventListener("hashchange", openTarget);
  openTarget();
  var tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true"); // the marker's own title says the same to those who do not see it
  document.body.appendChild(tip);
  document.querySelectorAll("svg a.drawn").forEach(function (link) {
    var title = link.querySelector("title");
    if (!title) return;
    var text = title.textContent;
    link.setAttribute("aria-label", text);
    title.remove(); // the browser's own, slower tooltip would show as well
    function show() {
      var box = link.getBoundingClientRect();
      tip.textContent = text;
      tip.hidden = false;
      tip.style.left = Math.max(4, Math.min(innerWidth - tip.offsetWidth - 4, box.left + box.width / 2 - tip.offsetWidth / 2)) + "px";
      tip.style.top = Math.max(4, box.top - tip.offsetHeight - 6) + "px";
    }
    link.addEventListener("mouseenter", show);
    link.addEventListener("focus", show);
    ["mouseleave", "blur"].forEach(function (name) { link.addEventListener(name, function () { tip.hidden = true; }); });
  });
  addEventListener("scroll", function () { tip.hidden = true; }, { passive: true });

  var heads = [].slice.call(document.querySelectorAll("nav a")).map(function (link) {
    return { link: link, section: document.getElementById(link.hash.slice(1)) };
  });
  function mark() { // the section that one is in
    var here = null;
    heads.forEach(function (head) { if (head.section && head.section.getBoundingClientRect().top < innerHeight / 3) here = head; });
    heads.forEach(function (head) {
      if (head === here) head.link.setAttribute("aria-current", "true"); else head.link.removeAttribute("aria-current");
    });
  }
  addEventListener("scroll", mark, { passive: true });
  mark();

  document.querySelectorAll("[data-filter]").forEach(function (box) { // rows that have the words typed
    var rows = document.querySelectorAll(box.getAttribute("data-filter"));
    box.hidden = false;
    box.addEventListener("input", function () {
      var words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length) rows.forEach(function (row) { // what is folded away can be found too
        for (var node = row; node; node = node.parentElement) if (node.tagName === "DETAILS" && node !== row) node.open = true;
      });
      rows.forEach(function (row) {
        var text = row.textContent.toLowerCase();
        row.hidden = !words.every(function (word) { return text.indexOf(word) >= 0; });
      });
    });
  });

  function key(row, column) {
    var cell = row.cells[column], given = cell.getAttribute("data-sort"), text = given === null ? cell.textContent.trim() : given;
    var value = parseFloat(text.replace(/,/g, ""));
    return isNaN(value) ? text : value;
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var body = table.tBodies[0], heads = table.tHead.rows[0].cells;
    if (body.rows.length < 2) return;
    Array.prototype.forEach.call(heads, function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        var down = head.getAttribute("aria-sort") === "ascending";
        Array.prototype.forEach.call(heads, function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        Array.prototype.slice.call(body.rows).sort(function (a, b) {
          var x = key(a, column), y = key(b, column);
          if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays at the end
          var order = typeof x === typeof y ? (x < y ? -1 : x > y ? 1 : 0) : typeof x === "number" ? -1 : 1;
          return down ? -order : order;
        }).forEach(function (row) { body.appendChild(row); });
      });
    });
  });
})();
