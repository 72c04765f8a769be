"use strict";
// The explorer's test texts as columns: which rows meet the filters, in which order, and as CSV.
class TestTexts {
  static UNKNOWN = 65535;
  // What may stand before a sign unseen: blanks, controls, format characters, unassigned ones, a blank of braille.
  static UNSEEN = /^[\s\p{Z}\p{C}\p{Default_Ignorable_Code_Point}\u2800]*/u;

  // `data` is what explorer.py packs; rows are numbered in test order.
  constructor(data) {
    this.study = data.study;
    this.example = data.example;
    this.texts = data.texts;
    this.labels = data.labels;
    this.label = Uint16Array.from(data.label);
    this.all = Uint32Array.from(this.label.keys());
    this.runs = data.runs.map(({ name, chosen, predicted, confidence }) => ({
      name,
      chosen,
      predicted: Uint16Array.from(predicted),
      confidence: confidence
        ? Uint16Array.from(confidence)
        : new Uint16Array(this.label.length).fill(TestTexts.UNKNOWN),
    }));
    // The runs of the two best methods; none where fewer than two can be compared.
    this.best = data.best.map((number) => this.runs[number]);
    this.rows = this.all;
    this.ranks = new Map();
    this.compare();
  }

  // Counts again over the chosen runs: how many are wrong on each text, and whether their answers differ.
  compare() {
    this.chosen = this.runs.filter((run) => run.chosen);
    this.wrong = new Uint16Array(this.label.length);
    this.differ = new Uint8Array(this.label.length);
    for (const { predicted } of this.chosen) {
      for (const row of this.all) {
        this.wrong[row] += predicted[row] !== this.label[row];
        this.differ[row] |= predicted[row] !== this.chosen[0].predicted[row];
      }
    }
  }

  right(run, row) {
    return run.predicted[row] === this.label[row];
  }

  // Keeps the rows that meet all filters: words (lower case), label (id or null), agreement ("" for any), conditions.
  filter({ words, label, agreement, conditions }) {
    const tests = conditions.map((condition) => this.#meets(condition));
    if (label !== null) tests.unshift((row) => this.label[row] === label);
    if (agreement) tests.unshift(this.#agrees(agreement));
    if (words.length) tests.push(this.#holds(words));
    this.rows = tests.reduce((left, test) => left.filter(test), this.all);
  }

  #agrees(kind) {
    const { wrong, differ } = this;
    const count = this.chosen.length;
    const [first, second] = this.best;
    return {
      best: (row) => first.predicted[row] !== second.predicted[row],
      right: (row) => wrong[row] === 0,
      wrong: (row) => wrong[row] === count,
      split: (row) => wrong[row] > 0 && wrong[row] < count,
      same: (row) => wrong[row] === count && !differ[row],
      differ: (row) => differ[row] === 1,
    }[kind];
  }

  #holds(words) {
    const joined = (row) => this.texts.map(({ values }) => values[row] ?? "").join("\n");
    this.lower ??= Array.from(this.all, (row) => joined(row).toLowerCase());
    return (row) => words.every((word) => this.lower[row].includes(word));
  }

  // run: "any" or "every" chosen run, or a run's number; answer: "", "right", "wrong" or a label id; low, high: 0 to 1.
  #meets({ run, answer, low, high }) {
    const limited = low > 0 || high < 1;
    const given =
      {
        "": () => true,
        right: (each, row) => this.right(each, row),
        wrong: (each, row) => !this.right(each, row),
      }[answer] ?? ((each, row) => each.predicted[row] === Number(answer));
    const sure = ({ confidence }, row) => {
      const share = confidence[row] / 1000;
      return confidence[row] !== TestTexts.UNKNOWN && share >= low && share <= high;
    };
    const test = (each, row) => given(each, row) && (!limited || sure(each, row));
    if (run === "any") return (row) => this.chosen.some((each) => test(each, row));
    if (run === "every") return (row) => this.chosen.every((each) => test(each, row));
    return (row) => test(this.runs[Number(run)], row);
  }

  // The kept rows ordered by a column: "example", "text", "label", "wrong", or a run.
  ordered(column, direction) {
    const { rows, wrong } = this;
    const last = this.last;
    if (last?.rows !== rows || last.column !== column || last.direction !== direction || last.wrong !== wrong) {
      const key = this.#key(column);
      const sign = direction === "desc" ? -1 : 1;
      const found = rows.slice().sort((a, b) => sign * (key[a] - key[b]) || a - b);
      this.last = { rows, column, direction, wrong, found };
    }
    return this.last.found;
  }

  #key(column) {
    if (column === "example") return this.#rank(this.example);
    if (column === "text") return this.#rank(this.texts[0].values);
    if (column === "label") return this.label;
    if (column === "wrong") return this.wrong;
    return this.#certainty(column);
  }

  // From a run's surest error to its surest right answer.
  #certainty(run) {
    const { UNKNOWN } = TestTexts;
    const size = (row) => (run.confidence[row] === UNKNOWN ? 1 : 1 + run.confidence[row]);
    return Float64Array.from(this.all, (row) => (this.right(run, row) ? size(row) : -size(row)));
  }

  #rank(values) {
    if (!this.ranks.has(values)) {
      const { compare } = new Intl.Collator(undefined, { numeric: true });
      const before = (a, b) => compare(String(values[a] ?? ""), String(values[b] ?? ""));
      const found = new Float64Array(values.length);
      let last = null;
      for (const [place, row] of Array.from(this.all).sort(before).entries()) {
        found[row] = last !== null && values[row] === values[last] ? found[last] : place;
        last = row;
      }
      this.ranks.set(values, found);
    }
    return this.ranks.get(values);
  }

  // The rows as CSV (RFC 4180, with a byte order mark, which spreadsheets need to read UTF-8).
  csv(rows) {
    const quoted = TestTexts.quoted;
    const sure = (value) => (value === TestTexts.UNKNOWN ? "" : String(value / 1000));
    const names = this.chosen.flatMap(({ name }) => [name, `${name}: confidence`]);
    const head = ["row", ...this.texts.map(({ name }) => name), "true label", "wrong runs", ...names];
    const lines = [head.map(quoted).join(",")];
    for (const row of rows) {
      const texts = this.texts.map(({ values }) => quoted(values[row]));
      const answers = this.chosen.flatMap((run) => [
        quoted(this.labels[run.predicted[row]]),
        sure(run.confidence[row]),
      ]);
      const cells = [
        quoted(this.example[row]),
        ...texts,
        quoted(this.labels[this.label[row]]),
        this.wrong[row],
        ...answers,
      ];
      lines.push(cells.join(","));
    }
    return `\ufeff${lines.join("\r\n")}\r\n`;
  }

  // A quoted cell; one that a spreadsheet would take for a formula starts with an apostrophe. Spreadsheets skip blanks,
  // controls and invisible characters before a sign, and take its wide, small and raised forms (NFKC) for the sign.
  static quoted(value) {
    const text = String(value ?? "");
    const [before] = text.match(TestTexts.UNSEEN);
    const [sign = ""] = text.slice(before.length, before.length + 2);
    const risky = /[\t\r\n]/.test(before) || /^[=+\-@\u2212]/.test(sign.normalize("NFKC"));
    const safe = risky ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  }
}
