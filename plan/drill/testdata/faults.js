// What a reader would find wrong with the page as it is laid out, one line each.
(() => {
  const faults = [];
  const visible = (e) => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0;
  const own = (e) => [...e.childNodes].filter((n) => n.nodeName !== "title").map((n) => n.textContent).join("").replace(/\s+/g, " ").trim().slice(0, 40);
  const says = (e) => `${e.tagName}.${e.getAttribute("class") || ""} "${own(e)}"`;
  const root = document.documentElement;

  // Nothing is wider than the window, except in what scrolls by itself.
  if (root.scrollWidth > innerWidth) faults.push(`page: ${root.scrollWidth} px wide in a window of ${innerWidth} px`);
  for (const e of document.body.querySelectorAll("*")) {
    if (!visible(e) || e.closest(".scroll > *, .symbols, caption, thead, defs")) continue;
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > innerWidth + 0.5 || box.left < -0.5)) faults.push(`outside: ${says(e)} from ${box.left} to ${box.right}`);
  }

  // Each picture is there, with rows of some size and text that is legible.
  const pictures = [...document.querySelectorAll(".picture svg")];
  for (const svg of pictures) {
    const name = svg.querySelector("title").textContent;
    const box = svg.getBoundingClientRect();
    if (box.width < 200 || box.height < 30) faults.push(`size: ${name} is ${box.width} x ${box.height}`);
    for (const part of svg.querySelectorAll("rect:not(.while-broken, .while-healing), circle")) {
      const b = part.getBoundingClientRect(), s = getComputedStyle(part), edge = s.stroke === "none" ? 0 : parseFloat(s.strokeWidth);
      if (b.height + edge < 3 || b.width + edge < 0.9 && part.getAttribute("width") !== "0%") faults.push(`size: ${name}: ${part.getAttribute("class")} is ${b.width} x ${b.height}`);
      if (part.classList.contains("gap") && b.width + edge < 1.4) faults.push(`size: ${name}: a gap is ${b.width} px wide`);
      if (s.fill === "none" && s.stroke === "none") faults.push(`colour: ${name}: ${part.getAttribute("class")} has none`);
      if (b.bottom > box.bottom + 0.5 || b.top < box.top - 0.5) faults.push(`outside: ${name}: ${part.getAttribute("class")}`);
    }
    const texts = [...svg.querySelectorAll("text")].filter(visible);
    for (const [i, t] of texts.entries()) {
      const a = t.getBoundingClientRect();
      if (parseFloat(getComputedStyle(t).fontSize) < 11) faults.push(`small: ${name}: ${says(t)}`);
      if (a.bottom > box.bottom + 2 || a.top < box.top - 2) faults.push(`outside: ${name}: ${says(t)}`);
      for (const u of texts.slice(i + 1)) {
        // Boxes have room for accents above and below; letters touch only
        // where the boxes overlap by more.
        const b = u.getBoundingClientRect();
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 0.5 && high > 3) faults.push(`overlap: ${name}: ${says(t)} and ${says(u)} by ${wide.toFixed(1)} x ${high.toFixed(1)}`);
      }
      if (t.matches(".inside")) {
        const bar = document.elementsFromPoint(a.left + a.width / 2, a.top + a.height / 2).find((e) => e.matches("rect.held, rect.block"));
        const b = bar && bar.getBoundingClientRect();
        if (!b || a.left < b.left || a.right > b.right) faults.push(`overlap: ${name}: ${says(t)} leaves its bar`);
      }
    }
  }

  // All text has a contrast of 4.5 (WCAG 2 AA) with what is painted behind it.
  const parse = (c) => { const n = (c.match(/[\d.]+/g) || []).map(Number); return c.startsWith("rgb") ? {rgb: n.slice(0, 3), a: n.length > 3 ? n[3] : 1} : {a: 0}; };
  const luminance = (rgb) => rgb.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e, x, y) => {
    for (const o of document.elementsFromPoint(x, y)) {
      if (o === e || e.contains(o) || o.matches("text, tspan, line, circle")) continue;
      const s = getComputedStyle(o), c = parse(o instanceof SVGGeometryElement ? s.fill : s.backgroundColor);
      if (c.a === 1) return c.rgb;
    }
    return parse(getComputedStyle(document.body).backgroundColor).rgb;
  };
  for (const e of document.body.querySelectorAll("*")) {
    if (!visible(e) || e.closest("title, desc, thead th:empty, caption") && !e.closest(".scroll caption")) continue;
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const box = e.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
    if (x < 0 || y < 0 || x > innerWidth || y > innerHeight || box.width < 2) continue;
    const s = getComputedStyle(e), ink = parse(e instanceof SVGElement ? s.fill : s.color);
    const [hi, lo] = [luminance(ink.rgb), luminance(behind(e, x, y))].sort((a, b) => b - a);
    const ratio = (hi + 0.05) / (lo + 0.05);
    if (!(ratio >= 4.5)) faults.push(`contrast: ${says(e)} has ${ratio.toFixed(2)}`);
  }

  // Names for those who do not see it.
  const ids = new Set();
  for (const e of document.querySelectorAll("[id]")) { if (ids.has(e.id)) faults.push(`id: ${e.id} is there twice`); ids.add(e.id); }
  for (const e of document.querySelectorAll("[aria-labelledby]"))
    for (const id of e.getAttribute("aria-labelledby").split(" "))
      if (!document.getElementById(id)?.textContent.trim()) faults.push(`name: ${id} is empty`);
  for (const a of document.querySelectorAll("a[href^='#'], use")) if (!document.querySelector(a.getAttribute("href"))) faults.push(`link: ${a.getAttribute("href")} leads nowhere`);
  if (document.querySelectorAll("h1").length !== 1) faults.push("headings: not one h1");
  return faults;
})()
