/* Draws the book's figures from the JSON that stands beside them.
 *
 * A figure is
 *   <figure class="dtrs-figure" data-kind="plotly|circuitsvis|explore">
 *     <div class="dtrs-plot" role="img" aria-label="…"></div>
 *     <script type="application/json">…</script>
 *     <figcaption class="dtrs-alt">…</figcaption>
 *   </figure>
 * It is drawn when it comes near the window, with a library that the page loads once and only when it needs it. Its
 * height is reserved beforehand, so nothing jumps. `data-state` tells how far it is: waiting, drawn or failed.
 */
"use strict";

(() => {
  const HEIGHT = 420; // px, when a figure names none
  const NARROW = 560; // px: below this, plots take the layout for phones
  const HERE = new URL(".", document.currentScript.src);
  const FAILED = "This figure could not be drawn here. Its text description says what it shows.";
  const FROM_FILE = "This figure needs the site to be served: type make serve, or open the published book.";

  const libraries = {};

  /** Load a script of this site once; later calls get the same promise. */
  function library(name) {
    libraries[name] ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL(name, HERE).href;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${name} did not load`));
      document.head.append(script);
    });
    return libraries[name];
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  // Plotly ------------------------------------------------------------------------------------------------------

  /** The layout settings that make a plot part of this page: its colours, its font, room for its width. */
  function houseLayout(layout, width) {
    const text = colour("--dtrs-plot-text");
    const grid = colour("--dtrs-plot-grid");
    const axis = colour("--dtrs-plot-axis");
    const narrow = width < NARROW;
    const house = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      "font.color": text,
      "font.family": colour("--dtrs-sans") || "sans-serif",
      "font.size": narrow ? 11 : 13,
      "hoverlabel.bgcolor": colour("--dtrs-surface"),
      "hoverlabel.bordercolor": axis,
      "hoverlabel.font.color": text,
    };
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) {
        house[`${key}.gridcolor`] = grid;
        house[`${key}.linecolor`] = axis;
        house[`${key}.tickcolor`] = axis;
        house[`${key}.zerolinecolor`] = axis;
      }
    }
    if (layout.title) {
      house["title.font.color"] = text;
      house["title.font.size"] = narrow ? 13 : 16;
    }
    (layout.annotations ?? []).forEach((_, i) => (house[`annotations[${i}].font.color`] = text));
    return house;
  }

  /** Traces whose neutral colours follow the theme too: colour bars and text that carry no colour of their own. */
  function houseTraces(data) {
    const text = colour("--dtrs-plot-text");
    return data.map((trace) => {
      const bar = trace.colorbar ?? trace.marker?.colorbar;
      if (bar) {
        bar.tickfont = { ...bar.tickfont, color: text };
        const title = typeof bar.title === "string" ? { text: bar.title } : bar.title;
        if (title) bar.title = { ...title, font: { ...title.font, color: text } };
        bar.outlinewidth = 0;
      }
      return trace;
    });
  }

  /** Break a title into lines that fit `width` pixels. */
  function wrapped(title, width) {
    const letters = Math.max(24, Math.floor(width / 8));
    const lines = [""];
    for (const word of title.replaceAll("<br>", " ").split(" ")) {
      const last = lines.length - 1;
      if (lines[last] && lines[last].length + word.length + 1 > letters) lines.push(word);
      else lines[last] += (lines[last] ? " " : "") + word;
    }
    return lines;
  }

  function assign(target, settings) {
    for (const [path, value] of Object.entries(settings)) {
      const keys = path.replaceAll(/\[(\d+)\]/g, ".$1").split(".");
      let node = target;
      for (const key of keys.slice(0, -1)) node = node[key] = typeof node[key] === "object" ? node[key] : {};
      node[keys.at(-1)] = value;
    }
    return target;
  }

  /** Plotly's text markup as plain text. */
  const plain = (markup) => new DOMParser().parseFromString(String(markup), "text/html").body.textContent;

  /** A slider of the page's own for a plot's frames: Plotly's cannot be reached with the keyboard. */
  function frameControls(figure, plot, slider, frames) {
    const names = slider.steps?.map((step) => step.args?.[0]?.[0] ?? step.label) ?? frames.map((frame) => frame.name);
    const labels = slider.steps?.map((step) => plain(step.label ?? step.value)) ?? names;
    const title = plain(slider.currentvalue?.prefix ?? "").replace(/[:=]?\s*$/, "") || "frame";
    const show = (i) =>
      Plotly.animate(plot, [String(names[i])], {
        mode: "immediate",
        transition: { duration: 0 },
        frame: { duration: 0, redraw: true },
      }).catch(() => {}); // a newer position overtook this one
    rangeControl(figure, title, labels, slider.active ?? 0, show);
  }

  function rangeControl(figure, title, labels, start, show) {
    const output = make("output", {}, String(labels[start]));
    const input = make("input", { type: "range", min: 0, max: labels.length - 1, step: 1, value: start });
    input.setAttribute("aria-valuetext", `${title} ${labels[start]}`);
    input.addEventListener("input", () => {
      const i = Number(input.value);
      output.textContent = String(labels[i]);
      input.setAttribute("aria-valuetext", `${title} ${labels[i]}`);
      show(i);
    });
    const controls = make("div", { class: "dtrs-controls" }, make("label", {}, make("span", {}, title), input, output));
    figure.querySelector(".dtrs-plot").after(controls);
  }

  async function drawPlotly(figure, plot, { data, layout = {}, frames = [], config = {} }) {
    await library("plotly.min.js");
    const { sliders = [], updatemenus, ...rest } = layout;
    const fitted = () => {
      const copy = structuredClone(rest);
      const width = plot.clientWidth;
      const narrow = width < NARROW;
      copy.autosize = true;
      copy.height = rest.height ?? HEIGHT;
      delete copy.width;
      const title = typeof copy.title === "string" ? copy.title : copy.title?.text;
      if (title) {
        const lines = wrapped(title, width);
        copy.title = { ...(typeof copy.title === "object" ? copy.title : {}), text: lines.join("<br>") };
        copy.margin = { ...copy.margin, t: Math.max(copy.margin?.t ?? 48, 30 + 18 * lines.length) };
      }
      const upright = copy.yaxis?.title?.text;
      if (upright) copy.yaxis.title.text = wrapped(upright, copy.height - 170).join("<br>");
      if (narrow) {
        copy.margin = { ...copy.margin, l: Math.min(copy.margin?.l ?? 48, 52), r: Math.min(copy.margin?.r ?? 12, 12) };
        if (copy.showlegend !== false) copy.legend = { orientation: "h", x: 0, y: -0.22, yanchor: "top", ...copy.legend };
      }
      return assign(copy, houseLayout(copy, width));
    };
    const settings = { responsive: true, displaylogo: false, displayModeBar: false, ...config };
    await Plotly.newPlot(plot, houseTraces(data), fitted(), settings);
    if (frames.length) {
      await Plotly.addFrames(plot, frames);
      if (sliders.length) frameControls(figure, plot, sliders[0], frames);
    }
    let wide = plot.clientWidth;
    const again = () => Plotly.react(plot, houseTraces(plot.data), fitted(), settings);
    onThemeChange(again);
    new ResizeObserver(() => {
      if (Math.abs(plot.clientWidth - wide) < 24) return;
      wide = plot.clientWidth;
      again();
    }).observe(plot);
  }

  // CircuitsVis -------------------------------------------------------------------------------------------------

  let views = 0;

  /** Let the keyboard choose a head, which CircuitsVis leaves to the mouse. */
  function makePressable(head) {
    head.tabIndex = 0;
    head.setAttribute("role", "button");
    head.setAttribute("aria-label", `Head ${head.textContent.replace(/^Head /, "")}`);
    head.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      head.querySelector("canvas")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    });
  }

  async function drawCircuitsVis(figure, plot, { component, props }) {
    await library("circuitsvis.js");
    const root = make("div", { id: `dtrs-view-${(views += 1)}` });
    plot.append(root);
    CircuitsVis.render(root.id, CircuitsVis[component], props);
    await new Promise((resolve) => {
      const seen = new MutationObserver(() => root.childElementCount && (seen.disconnect(), resolve()));
      seen.observe(root, { childList: true });
      if (root.childElementCount) resolve();
      setTimeout(resolve, 3000);
    });
    if (!root.childElementCount) throw new Error(`${component} drew nothing`);
    root.querySelectorAll("figure").forEach(makePressable);
    plot.setAttribute("role", "group"); // its parts can be pointed at and chosen
  }

  // Precomputed panels ------------------------------------------------------------------------------------------

  async function drawExplore(figure, plot, { name, values, panels, start = 0 }) {
    const panel = make("div", { class: "dtrs-panel", "aria-live": "polite" });
    const show = (i) => (panel.innerHTML = panels[i]);
    show(start);
    plot.setAttribute("role", "group");
    plot.append(panel);
    rangeControl(figure, name, values, start, show);
    figure.insertBefore(figure.querySelector(".dtrs-controls"), plot);
  }

  // The page ----------------------------------------------------------------------------------------------------

  const themeListeners = new Set();
  const onThemeChange = (listener) => themeListeners.add(listener);
  const kinds = { plotly: drawPlotly, circuitsvis: drawCircuitsVis, explore: drawExplore };

  async function draw(figure) {
    const plot = figure.querySelector(".dtrs-plot");
    try {
      const content = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
      await kinds[figure.dataset.kind](figure, plot, content);
      plot.style.minHeight = "";
      figure.dataset.state = "drawn";
    } catch (error) {
      figure.dataset.state = "failed";
      plot.replaceChildren(make("p", { class: "dtrs-note" }, location.protocol === "file:" ? FROM_FILE : FAILED));
      console.error(`figure not drawn: ${error.message}`);
    }
  }

  /** Reserve a figure's height and fold its description away, before anything is drawn. */
  function prepare(figure) {
    figure.dataset.state = "waiting";
    const plot = figure.querySelector(".dtrs-plot");
    const json = figure.querySelector("script").textContent;
    const reserved = {
      plotly: () => /"height":\s*(\d+)/.exec(json)?.[1] ?? HEIGHT,
      circuitsvis: () => (json.includes('"attention"') ? HEIGHT : 60),
      explore: () => 60,
    };
    plot.style.minHeight = `${reserved[figure.dataset.kind]?.() ?? HEIGHT}px`;
    const caption = figure.querySelector("figcaption.dtrs-alt");
    if (caption) {
      const words = make("div", {});
      words.append(...caption.childNodes);
      caption.append(make("details", { class: "dtrs-description" }, make("summary", {}, "Text description"), words));
    }
  }

  function start() {
    const figures = document.querySelectorAll("figure.dtrs-figure");
    if (!figures.length) return;
    const near = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          if (!entry.isIntersecting) continue;
          near.unobserve(entry.target);
          draw(entry.target);
        }
      },
      { rootMargin: "400px 0px" },
    );
    for (const figure of figures) {
      prepare(figure);
      near.observe(figure);
    }
    new MutationObserver(() => themeListeners.forEach((listener) => listener())).observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["data-theme"],
    });
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
