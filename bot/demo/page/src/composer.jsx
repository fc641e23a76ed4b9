// Where one writes: Enter sends, Shift+Enter breaks the line, "@" and "/" offer what can follow.
import { forwardRef, useEffect, useImperativeHandle, useId, useLayoutEffect, useRef, useState } from "react";
import { Avatar } from "./people.jsx";
import { suggestionsFor, wordAt } from "./suggest.js";

const MAX_HEIGHT_PX = 220;

const SendSign = () => (
  <svg viewBox="0 0 20 20" fill="currentColor" aria-hidden="true"><path d="M2 3.2v5.3l9 1.5-9 1.5v5.3c0 .6.6 1 1.2.7l14.2-6.8a.8.8 0 0 0 0-1.4L3.2 2.5C2.6 2.2 2 2.6 2 3.2Z" /></svg>
);

function Offers({ id, offers, chosen, onTake }) {
  return (
    <ul className="offers" role="listbox" id={id} data-testid="suggestions">
      {offers.map((offer, index) => (
        <li
          key={offer.key}
          id={`${id}-${index}`}
          role="option"
          aria-selected={index === chosen}
          data-testid="suggestion"
          onMouseDown={(event) => {
            event.preventDefault();
            onTake(offer);
          }}
        >
          {offer.user && <Avatar user={offer.user} small />}
          <strong>{offer.label}</strong>
          <span>{offer.hint}</span>
        </li>
      ))}
    </ul>
  );
}

/** `onSend(text)` returns a promise; a refused text comes back into the box with the reason below it. */
export const Composer = forwardRef(function Composer({ name, placeholder, users, commands, inThread = false, onSend, children }, ref) {
  const [text, setText] = useState("");
  const [caret, setCaret] = useState(0);
  const [dismissed, setDismissed] = useState(null);
  const [chosen, setChosen] = useState(0);
  const [failure, setFailure] = useState(null);
  const box = useRef(null);
  const moveTo = useRef(null);
  const listId = useId();

  const word = wordAt(text, caret);
  const offers = word && dismissed !== word.from ? suggestionsFor(word, { users, commands, inThread }) : [];
  const current = Math.min(chosen, offers.length - 1);

  const write = (value, at = value.length) => {
    moveTo.current = at;
    setText(value);
    setCaret(at);
    setFailure(null);
    box.current.focus();
  };
  useImperativeHandle(ref, () => ({ write, focus: () => box.current.focus() }));

  useLayoutEffect(() => {
    if (moveTo.current !== null) box.current.setSelectionRange(moveTo.current, moveTo.current);
    moveTo.current = null;
    box.current.style.height = "auto";
    box.current.style.height = `${Math.min(box.current.scrollHeight, MAX_HEIGHT_PX)}px`;
  }, [text]);
  useEffect(() => setChosen(0), [word?.query, word?.sign]);

  const take = (offer) => write(text.slice(0, word.from) + offer.insert + text.slice(caret), word.from + offer.insert.length);

  const sendNow = () => {
    const sent = text.trim();
    if (!sent) return;
    setText("");
    setCaret(0);
    setDismissed(null);
    setFailure(null);
    onSend(sent).catch((error) => {
      setText((typedMeanwhile) => typedMeanwhile || sent);
      setFailure(error.message);
    });
  };

  const onKeyDown = (event) => {
    if (event.nativeEvent.isComposing) return; // Enter ends a Chinese input method's word, not the message
    const plainEnter = event.key === "Enter" && !event.shiftKey;
    if (offers.length && ["ArrowDown", "ArrowUp", "Tab", "Escape"].concat(plainEnter ? "Enter" : []).includes(event.key)) {
      const typedWhole = offers[current].insert.trim().toLowerCase() === `${word.sign}${word.query}`;
      if (plainEnter && typedWhole) {
        event.preventDefault();
        return sendNow();
      }
      event.preventDefault();
      if (event.key === "Escape") setDismissed(word.from);
      else if (event.key === "ArrowDown") setChosen((current + 1) % offers.length);
      else if (event.key === "ArrowUp") setChosen((current + offers.length - 1) % offers.length);
      else take(offers[current]);
    } else if (plainEnter) {
      event.preventDefault();
      sendNow();
    }
  };

  return (
    <div className="composer">
      {offers.length > 0 && <Offers id={listId} offers={offers} chosen={current} onTake={take} />}
      <div className="composer_frame">
        <textarea
          ref={box}
          rows={1}
          value={text}
          placeholder={placeholder}
          aria-label={placeholder}
          aria-autocomplete="list"
          aria-controls={offers.length ? listId : undefined}
          aria-activedescendant={offers.length ? `${listId}-${current}` : undefined}
          data-testid={`${name}-input`}
          onChange={({ target }) => {
            setText(target.value);
            setCaret(target.selectionStart);
            setDismissed(null);
            setFailure(null);
          }}
          onSelect={({ target }) => setCaret(target.selectionStart)}
          onKeyDown={onKeyDown}
        />
        <div className="composer_tools">
          {children}
          <span className="composer_keys"><kbd>Enter</kbd> sends · <kbd>Shift</kbd>+<kbd>Enter</kbd> new line</span>
          <button type="button" className="composer_send" aria-label="Send" disabled={!text.trim()} data-testid={`${name}-send`} onClick={sendNow}>
            <SendSign />
          </button>
        </div>
      </div>
      {failure && <div className="failure" role="alert" data-testid={`${name}-failure`}>{failure}</div>}
    </div>
  );
});
