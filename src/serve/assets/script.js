// What a page can do beyond being read: fold all replies, say what is new, and keep the dashboard current. Pages work without it.
"use strict";
(() => {
  // A button that folds or unfolds all replies below the first level.
  const all = document.getElementById("fold-all");
  if (all) {
    const first = () => document.querySelectorAll("#thread > .comment > details");
    all.hidden = false;
    all.addEventListener("click", () => {
      const fold = all.getAttribute("aria-pressed") !== "true";
      first().forEach((details) => { details.open = !fold; });
      all.setAttribute("aria-pressed", String(fold));
    });
  }

  // A link to a comment inside a folded one unfolds what is above it.
  const unfold = () => {
    // A hash that is not encoded well names no comment.
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const target = document.getElementById(id);
    for (let above = target; above; above = above.parentElement) {
      if (above.tagName === "DETAILS") above.open = true;
    }
    if (target) target.scrollIntoView();
  };
  if (location.hash) unfold();
  addEventListener("hashchange", unfold);

  // One stream for each page, and none while nobody looks.
  const follow = (address, event, heard) => {
    let stream = null;
    const change = () => {
      if (document.hidden) {
        if (stream) stream.close();
        stream = null;
      } else if (!stream) {
        stream = new EventSource(address);
        stream.addEventListener(event, (message) => heard(message.data));
      }
    };
    document.addEventListener("visibilitychange", change);
    addEventListener("pagehide", () => { if (stream) stream.close(); stream = null; });
    addEventListener("pageshow", change);
    change();
  };

  const { live, noun, seen } = document.body.dataset;
  const news = document.getElementById("news");
  if (live && news) {
    let before = seen === undefined ? null : Number(seen);
    follow(live, "put", (data) => {
      const value = JSON.parse(data).data;
      const now = Array.isArray(value) ? value.length : Number(value);
      if (value === null || !Number.isFinite(now)) return;
      if (before === null) document.body.dataset.seen = before = now;
      const more = now - before;
      news.hidden = more <= 0;
      if (more <= 0) return;
      const link = document.createElement("a");
      link.href = location.pathname + location.search;
      link.textContent = `${more.toLocaleString("en")} new ${noun}${more === 1 ? "" : "s"}`;
      news.replaceChildren(link);
    });
  }

  const board = document.getElementById("board");
  if (board) {
    follow("/status/events", "status", (html) => {
      if (!board.contains(document.activeElement)) board.innerHTML = html;
    });
  }
})();
