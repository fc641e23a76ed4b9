// Keeps a scrolling list at its end while it grows, until the person scrolls up or opens a fold.
import { useCallback, useEffect, useRef, useState } from "react";

const NEAR_END_PX = 48;
/** Fractions of a pixel that scrolling to the very end may leave. */
const AT_END_PX = 2;

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
    const gap = () => list.scrollHeight - list.scrollTop - list.clientHeight;
    let last = { top: 0, height: 0, view: 0 };
    const remember = () => (last = { top: list.scrollTop, height: list.scrollHeight, view: list.clientHeight });
    const onScroll = () => {
      // A reply that is drawn anew changes its height, and the browser then moves the list by itself to keep what is
      // in view. Only a move in a list that kept its size is the person's.
      const moved = list.scrollHeight === last.height && list.clientHeight === last.view;
      const up = list.scrollTop < last.top;
      if (gap() < AT_END_PX) stuck.current = true;
      else if (moved) stuck.current = !up && (stuck.current || gap() < NEAR_END_PX);
      remember();
      if (stuck.current) setBelow(false);
    };
    const onWheel = ({ deltaY }) => {
      // Also while the list grows, when no scroll finds it the size it was.
      if (deltaY < 0 && list.scrollTop > 0) stuck.current = false;
    };
    const onResize = () => {
      stuck.current ||= gap() < AT_END_PX;
      if (stuck.current) toEnd();
      else setBelow(true);
      remember();
    };
    const onClick = ({ target }) => {
      if (target.closest("[aria-expanded]")) stuck.current = false;
    };
    const observer = new ResizeObserver(onResize);
    observer.observe(content.current);
    observer.observe(list);
    list.addEventListener("scroll", onScroll, { passive: true });
    list.addEventListener("wheel", onWheel, { passive: true });
    list.addEventListener("click", onClick, { capture: true });
    toEnd();
    return () => {
      observer.disconnect();
      list.removeEventListener("scroll", onScroll);
      list.removeEventListener("wheel", onWheel);
      list.removeEventListener("click", onClick, { capture: true });
    };
  }, [what, toEnd]);

  return { scroller, content, below, toEnd };
}
