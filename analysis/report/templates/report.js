// Nothing here is needed for reading: it opens the entry a link leads to, shows what a marker is, copies, searches and sorts.
(function () {
  "use strict";
  function add(parent, tag, text) {
    var node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    return parent.appendChild(node);
  }
  function unfold(entry) { // the runs of a setting as a table with scores by task, which stand in the page as data
    var spans = entry.querySelectorAll("span[id^=run-]"), line = spans.length && spans[0].parentNode;
    if (!line) return;
    var frame = document.createElement("div"), table = add(frame, "table"), head = add(add(table, "thead"), "tr"), body = add(table, "tbody");
    frame.className = "scroll";
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", "Runs of " + entry.querySelector("summary").textContent);
    table.className = "numbers-1";
    var first = scores.runs[spans[0].id.slice(4)], some = scores.tasks.map(function (_, n) {
      return [].some.call(spans, function (span) { return scores.runs[span.id.slice(4)][4 + n]; });
    });
    ["Run", "Mean of " + first[1]].concat(scores.tasks.filter(function (_, n) { return some[n]; }), "Step kept", "Code").forEach(function (name) {
      add(head, "th", name).scope = "col";
    });
    [].forEach.call(spans, function (span) {
      var id = span.id.slice(4), of = scores.runs[id], row = add(body, "tr"), words = span.textContent.match(/seed (\S+): (\S+)/), cell = add(row, "th");
      row.id = span.id;
      cell.appendChild(span.querySelector("a"));
      add(cell, "small", "seed " + words[1]);
      add(add(row, "td", words[2]), "small", of[0]);
      some.forEach(function (has, n) {
        if (!has) return;
        var parts = (of[4 + n] || "–").split(" "), score = add(row, "td", parts[0]);
        if (parts.length > 1) add(score, "small", parts.slice(1).join(" · "));
      });
      add(row, "td", of[2] === null ? "–" : of[2]);
      cell = add(row, "td", scores.codes[of[3]] + " ");
      if (span.querySelector(".tag")) cell.appendChild(span.querySelector(".tag"));
    });
    line.parentNode.replaceChild(frame, line);
  }
  var data = document.getElementById("score-data"), scores = data && JSON.parse(data.textContent);
  if (scores) document.querySelectorAll(".run-entry").forEach(unfold);
  function openTarget() {
    var target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (var node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (!target) return;
    target.hidden = false; // a row that a search had left out
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

  var said = add(document.body, "p"); // what a click did, for those who do not see it
  said.className = "skip";
  said.setAttribute("role", "status");
  document.querySelectorAll("code.command, .run-entry p code:first-of-type").forEach(function (code) { // a button behind every command that copies it
    var button = document.createElement("button"), text = code.textContent;
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy: " + text);
    function tell(word) {
      button.textContent = word;
      said.textContent = word + ": " + text;
      setTimeout(function () { button.textContent = "Copy"; said.textContent = ""; }, 2000);
    }
    button.addEventListener("click", function () {
      (navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject()).then(tell.bind(null, "Copied"), function () {
        getSelection().selectAllChildren(code); // where a page may not write there: one key is left to press
        tell(document.execCommand("copy") ? "Copied" : "Selected");
      });
    });
    code.parentNode.insertBefore(button, code.nextSibling);
  });

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

  var kept = new URLSearchParams(location.search), later = []; // what is typed, chosen and sorted by stands in the address
  function keep(name, value) {
    if (value) kept.set(name, value); else kept.delete(name);
    try {
      history.replaceState(null, "", (String(kept) ? "?" + kept : location.pathname) + location.hash);
    } catch (refused) {} // by browsers that let no file have an address of its own
  }

  document.querySelectorAll("[data-filter]").forEach(function (box) { // rows that have the words typed
    var rows = document.querySelectorAll(box.getAttribute("data-filter")), name = box.closest("section").id;
    function apply() {
      var words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length) rows.forEach(function (row) { // what is folded away can be found too
        for (var node = row; node; node = node.parentElement) if (node.tagName === "DETAILS" && node !== row) node.open = true;
      });
      rows.forEach(function (row) {
        var more = row.querySelector("[data-words]"); // of a floor, whose it is
        var text = (row.textContent + " " + (more ? more.getAttribute("data-words") : "")).toLowerCase();
        row.hidden = !words.every(function (word) { return text.indexOf(word) >= 0; });
      });
    }
    box.hidden = false;
    box.addEventListener("input", function () {
      apply();
      keep(name, box.value.trim());
    });
    if ((box.value = kept.get(name) || "")) apply();
  });

  var choice = document.getElementById("metric"), others = document.getElementById("metric-data");
  if (choice && others) { // the readers by another metric than each task's own, which stands in the page
    others = JSON.parse(others.textContent);
    var frame = choice.closest("section").querySelector("table"), titles = frame.tHead.rows[0].cells, lines = [].slice.call(frame.tBodies[0].rows);
    var cells = [titles].concat(lines.map(function (line) { return line.cells; })).map(function (row) { return [].slice.call(row, 1); });
    var own = cells.map(function (row) { return row.map(function (cell) { return [cell.innerHTML, cell.getAttribute("data-sort")]; }); });
    others.forEach(function (metric) { add(choice, "option", metric.name); });
    choice.parentNode.hidden = false;
    choice.addEventListener("change", function () {
      var metric = others[choice.selectedIndex - 1];
      keep("metric", metric && metric.name);
      cells.forEach(function (row, r) {
        row.forEach(function (cell, c) {
          var text = metric && (r ? metric.rows[r - 1][c] : metric.heads[c]), button = cell.querySelector("button");
          if (button) button.textContent = metric ? text : button.getAttribute("data-own");
          else if (metric) { cell.textContent = text; cell.removeAttribute("data-sort"); } else {
            cell.innerHTML = own[r][c][0];
            if (own[r][c][1] !== null) cell.setAttribute("data-sort", own[r][c][1]);
          }
        });
      });
    });
  }

  if (choice && kept.has("metric")) later.push(function () {
    choice.value = kept.get("metric");
    if (choice.selectedIndex > 0) choice.dispatchEvent(new Event("change")); else choice.selectedIndex = 0;
  });

  function key(row, column) {
    var cell = row.cells[column], given = cell.getAttribute("data-sort");
    var text = given !== null ? given : cell.firstChild ? cell.firstChild.textContent.trim() : "";
    if (text === "–") text = "";
    var fraction = /^(\d+)\/(\d+)$/.exec(text), value = fraction ? fraction[1] / fraction[2] : parseFloat(text.replace(/,/g, ""));
    return isNaN(value) ? text : value;
  }
  document.querySelectorAll("table.sortable").forEach(function (table, place) {
    var name = "sort" + place, body = table.tBodies[0], heads = table.tHead.rows[0].cells;
    if (body.rows.length < 2) return;
    Array.prototype.forEach.call(heads, function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.setAttribute("data-own", head.textContent);
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        var down = head.getAttribute("aria-sort") === "ascending";
        keep(name, column + (down ? "down" : "up"));
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
    later.push(function () {
      var told = /^(\d+)(up|down)$/.exec(kept.get(name) || ""), head = told && heads[told[1]];
      if (head) for (var clicks = told[2] === "up" ? 1 : 2; clicks; clicks--) head.firstChild.click();
    });
  });
  later.forEach(function (restore) { restore(); });
})();
