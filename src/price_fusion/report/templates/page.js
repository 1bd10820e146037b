"use strict";
(async () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const divs = [...document.querySelectorAll(".figure")];

  async function plotly() {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), c => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  // Colours of the page, so that figures follow it into the dark.
  function restyled(layout, width) {
    const style = getComputedStyle(document.documentElement);
    const text = style.getPropertyValue("--text").trim();
    const changed = {...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)"};
    changed.font = {...layout.font, color: text, size: width < 500 ? 11 : 13};
    changed.hoverlabel = {...layout.hoverlabel, bgcolor: style.getPropertyValue("--panel").trim(), font: {color: text}};
    changed.margin = {...layout.margin, t: layout.showlegend === false ? 16 : 56, l: width < 500 ? 44 : 60, r: 12};
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) changed[key] = {...layout[key], color: text, linecolor: text};
    }
    return changed;
  }

  function draw(div) {
    const figure = JSON.parse(div.nextElementSibling.textContent);
    const options = {displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false};
    return Plotly.react(div, figure.data, restyled(figure.layout, div.clientWidth), options);
  }

  try {
    await plotly();
    for (const div of divs) await draw(div);
    dark.addEventListener("change", () => divs.forEach(draw));
    addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(one => { one.open = true; }));
    document.documentElement.dataset.drawn = String(divs.length);
  } catch (error) {
    document.getElementById("no-figures").hidden = false;
    divs.forEach(div => { div.style.minHeight = "0"; });
    throw error;
  }
})();
