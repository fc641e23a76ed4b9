// Keeps a scrolling list at its end while it grows, until the person scrolls up or opens a fold.
import { useCallback, useEffect, useRef, useState } from "react";

const NEAR_END_PX = 48;

/** Returns refs for the scroller and its content, whether newer things are below, and a way to go there. */
export function useStick(what) {
  const scroller = useRef(null);
  const content = useRef(null);
  const stuck = useRef(true);
  const [below, setBelow] = useState(false);

  const toEnd = useCallback(() => {
    stuck.current = true;
    setBelow(false);
    if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  }, []);

  useEffect(() => {
    const list = scroller.current;
    const atEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END_PX;
    let lastTop = 0;
    const onScroll = () => {
      // Only a scroll upwards is the person's wish to stay; the list may have grown since our own scroll to the end.
      if (atEnd()) stuck.current = true;
      else if (list.scrollTop < lastTop) stuck.current = false;
      lastTop = list.scrollTop;
      if (stuck.current) setBelow(false);
    };
    const onResize = () => {
      stuck.current ||= atEnd();
      if (stuck.current) toEnd();
      else setBelow(true);
    };
    const onClick = ({ target }) => {
      if (target.closest("[aria-expanded]")) stuck.current = false;
    };
    const observer = new ResizeObserver(onResize);
    observer.observe(content.current);
    observer.observe(list);
    list.addEventListener("scroll", onScroll, { passive: true });
    list.addEventListener("click", onClick, { capture: true });
    toEnd();
    return () => {
      observer.disconnect();
      list.removeEventListener("scroll", onScroll);
      list.removeEventListener("click", onClick, { capture: true });
    };
  }, [what, toEnd]);

  return { scroller, content, below, toEnd };
}
