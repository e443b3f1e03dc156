import type { Page } from 'playwright-core';

/**
 * What somebody would read on the page, were it not cut off: texts and labels that reach out of a
 * box which hides what it cannot hold. In a table or list what users wrote may be: whatever is long.
 */
export function cutTexts(page: Page): Promise<string[]> {
  return page.locator('body *').evaluateAll(findCutTexts);
}

/** As much of the browser's own types as is used here. */
interface Element {
  parentElement: Element | null;
  textContent: string | null;
  childNodes: Iterable<{ nodeType: number; textContent: string | null }>;
  clientWidth: number;
  ownerDocument: {
    createRange(): { selectNodeContents(node: object): void } & Pick<
      Element,
      'getBoundingClientRect'
    >;
    defaultView: { getComputedStyle(element: Element): { overflowX: string } };
  };
  closest(selector: string): Element | null;
  getBoundingClientRect(): { left: number; right: number; bottom: number; width: number };
  checkVisibility(): boolean;
}

/** Runs in the page. */
function findCutTexts(elements: Element[]): string[] {
  const LONG = 24;
  const TEXT_NODE = 3;
  const SLACK_PX = 0.1;
  const rows = 'td, .render-template';
  // Where one scrolls to read on, and what only a keyboard brings up.
  const leftOut = '.desk-thread, .skip-menu, script, style';

  function isCut(node: object, element: Element): boolean {
    const { ownerDocument } = element;
    const range = ownerDocument.createRange();
    range.selectNodeContents(node);
    const text = (element.closest('.v-chip, .desk-button, em') ?? range).getBoundingClientRect();
    if (text.width === 0) return false;
    for (let box: Element | null = element; box?.parentElement; box = box.parentElement) {
      if (ownerDocument.defaultView.getComputedStyle(box).overflowX === 'visible') continue;
      // It has no box of its own (`display: contents`).
      if (box.clientWidth === 0) continue;
      const { left, right, bottom } = box.getBoundingClientRect();
      if (text.left < left - SLACK_PX || text.right > right + SLACK_PX) return true;
      if (box.closest('td') !== null && text.bottom > bottom + SLACK_PX) return true;
    }
    return false;
  }

  const cut: string[] = [];
  for (const element of elements) {
    for (const node of element.childNodes) {
      const text = node.textContent?.trim() ?? '';
      if (node.nodeType !== TEXT_NODE || text === '') continue;
      if (element.closest(leftOut) !== null || !element.checkVisibility()) continue;
      if ((element.closest(rows)?.textContent ?? '').trim().length > LONG) continue;
      if (isCut(node, element)) cut.push(text);
    }
  }
  return [...new Set(cut)];
}
