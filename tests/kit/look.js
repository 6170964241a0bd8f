() => {
  const wrong = [], seen = element => element.checkVisibility() && element.getClientRects().length;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement, words = walk.currentNode.data.trim();
    if (!words || element.closest("script") || !seen(element)) continue;
    const svg = element.closest("svg");
    const scale = svg && svg.viewBox.baseVal ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    const size = parseFloat(getComputedStyle(element).fontSize) * (scale || 1);
    if (size < 10) wrong.push(`small, ${size.toFixed(1)} px: ${words}`);
  }
  for (const svg of document.querySelectorAll("svg")) {
    if (!seen(svg)) continue;
    const boxes = [...svg.querySelectorAll("text")].map(text => [text.getBoundingClientRect(), text.textContent.trim()]);
    boxes.forEach(([one, words], number) => {
      if (one.right > innerWidth + 1 || one.left < -1) wrong.push(`beyond the page: ${words}`);
      for (const [other, text] of boxes.slice(number + 1))
        if (Math.min(one.right, other.right) - Math.max(one.left, other.left) > 2
            && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 4)
          wrong.push(`text on text: ${words} / ${text}`);
    });
  }
  for (const element of document.querySelectorAll("body *"))
    if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth && getComputedStyle(element).overflowX != "visible")
      wrong.push(`scrolls sideways: ${element.outerHTML.slice(0, 100)}`);
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("the page scrolls sideways");
  const head = document.querySelector("h1"), height = parseFloat(getComputedStyle(head).lineHeight);
  const lines = Math.round(head.getBoundingClientRect().height / height);
  const first = [...document.querySelectorAll("figure svg, .plot svg")].find(seen);
  const top = first ? Math.round(first.getBoundingClientRect().top + scrollY) : Infinity;
  return {wrong, lines, top};
}
