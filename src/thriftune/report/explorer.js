"use strict";
// The table of test texts: controls, and one page of rows at a time through DataTables.
// User text reaches the page as text nodes and attribute values only, never as HTML.
(() => {
  const SHORT = 400;
  const PAGE_SIZES = [10, 25, 100];
  const AGREEMENTS = [
    ["", "any answers"],
    ["right", "all right"],
    ["split", "some right, some wrong"],
    ["wrong", "all wrong"],
    ["same", "all wrong in the same way"],
    ["differ", "answers differ"],
  ];
  const id = (name) => document.getElementById(`explorer-${name}`);
  const form = id("form");
  const number = new Intl.NumberFormat("en");
  let texts = null;
  let table = null;

  function node(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  const plain = (text) => node("bdi", { textContent: text });
  const options = (pairs) => pairs.map(([value, textContent]) => node("option", { value, textContent }));
  const words = () => form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);

  async function unpack() {
    const bytes = Uint8Array.from(atob(id("data").textContent), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new TestTexts(await new Response(stream).json());
  }

  // --- cells

  function marked(text) {
    const found = words().map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    if (!found.length) return [text];
    const parts = text.split(new RegExp(`(${found.join("|")})`, "giu"));
    return parts.map((part, i) => (i % 2 ? node("mark", { textContent: part }) : part));
  }

  function shown(text) {
    if (text.length <= SHORT) return node("span", { dir: "auto" }, ...marked(text));
    const start = `${text.slice(0, SHORT)}…`;
    const value = node("span", { dir: "auto" }, ...marked(start));
    const more = node("button", { type: "button", className: "plain", textContent: "more", ariaExpanded: "false" });
    more.addEventListener("click", () => {
      const open = more.ariaExpanded === "false";
      value.replaceChildren(...marked(open ? text : start));
      more.textContent = open ? "less" : "more";
      more.ariaExpanded = String(open);
    });
    return node("span", {}, value, " ", more);
  }

  function textCell(row) {
    const name = (field) =>
      texts.texts.length > 1 ? [node("span", { className: "name", textContent: field.name })] : [];
    const fields = texts.texts.map((field) => node("div", {}, ...name(field), shown(field.values[row] ?? "")));
    return node("div", { className: "texts" }, ...fields);
  }

  function labelCell(label) {
    return node("span", { className: "label", title: label }, plain(label));
  }

  function answerCell(run, row) {
    const right = texts.right(run, row);
    const confidence = run.confidence[row];
    return node(
      "span",
      { className: right ? "right" : "wrong" },
      node("span", { className: "hidden", textContent: right ? "right: " : "wrong: " }),
      labelCell(texts.labels[run.predicted[row]]),
      " ",
      node("span", {
        className: "sure",
        textContent: confidence === TestTexts.UNKNOWN ? "" : (confidence / 1000).toFixed(2),
      }),
    );
  }

  // --- the table

  function columns() {
    return [
      { key: "example", title: "Row", cell: (row) => plain(String(texts.example[row])) },
      { key: "text", title: texts.texts.map(({ name }) => name).join(", "), className: "text", cell: textCell },
      { key: "label", title: "True label", cell: (row) => labelCell(texts.labels[texts.label[row]]) },
      { key: "wrong", title: "Wrong runs", cell: (row) => `${texts.wrong[row]} of ${texts.chosen.length}` },
      ...texts.chosen.map((run) => ({ key: run, title: run.name, cell: (row) => answerCell(run, row) })),
    ];
  }

  function head({ title, className = "" }) {
    const element = node("th", { scope: "col", className }, plain(title));
    element.setAttribute("aria-label", title);
    return element;
  }

  function show() {
    const all = columns();
    const caption = node("caption", { className: "hidden", textContent: "Test texts and the runs' answers" });
    const element = node("table", {}, caption, node("thead", {}, node("tr", {}, ...all.map(head))), node("tbody"));
    table?.destroy(true);
    id("table").replaceChildren(element);
    table = new DataTable(element, {
      serverSide: true,
      ajax: ({ draw, start, length, order }, give) => {
        const [{ column, dir } = { column: 0, dir: "asc" }] = order;
        const data = Array.from(texts.ordered(all[column].key, dir).slice(start, start + length));
        give({ draw, data, recordsTotal: texts.all.length, recordsFiltered: texts.rows.length });
      },
      columns: all.map(({ key, className, cell }) => ({
        data: null,
        className,
        orderSequence: key === "wrong" ? ["desc", "asc"] : ["asc", "desc"],
        render: (_, type, row) => (type === "display" ? cell(row) : ""),
      })),
      createdRow: (_, row, index, cells) => cells.forEach((each, i) => (each.dataset.title = all[i].title)),
      order: [[3, "desc"]],
      orderMulti: false,
      autoWidth: false,
      searching: false,
      processing: false,
      lengthMenu: PAGE_SIZES,
      layout: {
        topStart: null,
        topEnd: null,
        bottomStart: { pageLength: { text: "_MENU_ rows" } },
        bottomEnd: { paging: { buttons: 5, firstLast: false } },
      },
      language: {
        emptyTable: "No text meets all conditions.",
        zeroRecords: "No text meets all conditions.",
        paginate: { previous: "Previous", next: "Next" },
      },
    });
  }

  function download() {
    const [[column, direction] = [0, "asc"]] = table.order();
    const csv = texts.csv(texts.ordered(columns()[column].key, direction));
    const href = URL.createObjectURL(new Blob([csv], { type: "text/csv;charset=utf-8" }));
    const name = texts.study
      .replace(/[^a-z0-9]+/gi, "-")
      .replace(/^-|-$/g, "")
      .slice(0, 60);
    node("a", { href, download: `${name || "study"}-texts.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60000);
  }

  // --- controls

  function addCondition() {
    const made = id("condition").content.cloneNode(true).firstElementChild;
    const [run, answer, remove] = ["run", "answer", "remove"].map((name) => made.querySelector(`[name=${name}]`));
    run.append(
      ...options([
        ["any", "any compared run"],
        ["every", "every compared run"],
      ]),
    );
    run.append(...options(texts.runs.map(({ name }, i) => [i, name])));
    answer.append(
      ...options([
        ["", "any answer"],
        ["right", "right"],
        ["wrong", "wrong"],
      ]),
    );
    answer.append(...options(texts.labels.map((name, i) => [i, `is ${name}`])));
    remove.addEventListener("click", () => {
      made.remove();
      filter();
    });
    id("conditions").append(made);
  }

  function condition(element) {
    const value = (name) => element.querySelector(`[name=${name}]`).value;
    const [low, high] = [value("low"), value("high")];
    return { run: value("run"), answer: value("answer"), low: Number(low), high: high === "" ? 1 : Number(high) };
  }

  function filter() {
    const { label, agreement } = form.elements;
    texts.filter({
      words: words(),
      label: label.value === "" ? null : Number(label.value),
      agreement: agreement.value,
      conditions: [...id("conditions").children].map(condition),
    });
    const [found, all] = [texts.rows.length, texts.all.length].map((count) => number.format(count));
    id("status").textContent = found === all ? `${all} texts` : `${found} of ${all} texts`;
    id("download").disabled = texts.rows.length === 0;
    const opening = agreement.value === "best";
    id("all").hidden = !opening;
    id("all").textContent = `See all ${all} texts`;
    if (opening) id("status").textContent += ` on which ${texts.best.map(({ name }) => name).join(" and ")} disagree`;
    table.page(0).draw(false);
  }

  function choose() {
    texts.compare();
    id("chosen").textContent = `Runs compared: ${texts.chosen.length} of ${texts.runs.length}`;
    show();
    filter();
  }

  function check(run) {
    const box = node("input", { type: "checkbox", checked: run.chosen });
    box.addEventListener("change", () => {
      run.chosen = box.checked;
      if (texts.runs.some((each) => each.chosen)) choose();
      else run.chosen = box.checked = true;
    });
    return node("label", {}, box, " ", plain(run.name));
  }

  function start(found) {
    texts = found;
    form.elements.label.append(...options([["", "any"], ...texts.labels.map((name, i) => [i, name])]));
    form.elements.agreement.append(...options(AGREEMENTS));
    if (texts.best.length) {
      form.elements.agreement.append(...options([["best", "two best disagree"]]));
      form.elements.agreement.value = "best"; // where the reader begins; a reset shows all
    }
    id("runs").append(...texts.runs.map(check));
    addCondition();
    let timer = 0;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(filter, 120);
    });
    form.addEventListener("reset", () => {
      id("conditions").replaceChildren();
      addCondition();
      setTimeout(filter);
    });
    id("add").addEventListener("click", addCondition);
    id("all").addEventListener("click", () => {
      form.elements.agreement.value = "";
      filter();
      form.elements.agreement.focus();
    });
    id("download").addEventListener("click", download);
    form.hidden = id("download").hidden = false;
    choose();
    document.getElementById("explorer").dataset.ready = "true";
  }

  function fail(error) {
    const elsewhere = "the same rows lie in test.parquet and runs/*/predictions";
    id("status").textContent = `This browser cannot read the table (${error.message}); ${elsewhere}.`;
  }

  const seen = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen.disconnect();
      unpack().then(start, fail);
    },
    { rootMargin: "800px" },
  );
  seen.observe(document.getElementById("explorer"));
})();
