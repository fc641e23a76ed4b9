// A modal: what the app asks, filled in and sent, or closed.
import { useContext, useEffect, useId, useRef, useState } from "react";
import { ViewBlocks } from "./blocks.jsx";
import { Me } from "./me.js";
import * as server from "./server.js";

const isInput = (block) => block.type === "input";

/** What stands in the fields at first, by action_id. */
const firstValues = (view) =>
  Object.fromEntries(
    view.blocks.filter(isInput).map(({ element }) => [element.action_id, element.initial_value ?? element.initial_option?.value ?? ""]),
  );

function Field({ element, id, value, onChange, describedBy }) {
  const common = { id, value, "aria-describedby": describedBy, "data-testid": `field-${element.action_id}`, onChange: ({ target }) => onChange(target.value) };
  const options = element.options;
  if (options) {
    return (
      <select {...common}>
        <option value="">{element.placeholder?.text ?? "Choose…"}</option>
        {options.map((option) => <option key={option.value} value={option.value}>{option.text.text}</option>)}
      </select>
    );
  }
  if (element.type !== "plain_text_input") return <p className="placeholder">A field of type “{element.type}” is here; this page does not draw it.</p>;
  const text = { placeholder: element.placeholder?.text, maxLength: element.max_length };
  return element.multiline ? <textarea rows={4} {...common} {...text} /> : <input type="text" {...common} {...text} />;
}

function Asked({ block, value, problem, onChange }) {
  const id = useId();
  return (
    <div className="modal_field">
      <label htmlFor={id}>{block.label.text}{block.optional && <span className="modal_optional"> (optional)</span>}</label>
      <Field element={block.element} id={id} value={value} describedBy={`${id}-note`} onChange={onChange} />
      <div id={`${id}-note`}>
        {block.hint && <div className="modal_hint">{block.hint.text}</div>}
        {problem && <div className="failure" role="alert">{problem}</div>}
      </div>
    </div>
  );
}

/** `view` as the app made it. It goes away when the workspace says so, whoever closed it. */
export function Modal({ view }) {
  const me = useContext(Me);
  const dialog = useRef(null);
  const [values, setValues] = useState(() => firstValues(view));
  const [problems, setProblems] = useState({});
  const [failure, setFailure] = useState("");
  const [waiting, setWaiting] = useState(false);
  const title = useId();
  useEffect(() => dialog.current.showModal(), []);
  useEffect(() => {
    setValues((typed) => ({ ...firstValues(view), ...Object.fromEntries(Object.entries(typed).filter(([key]) => key in firstValues(view))) }));
    setProblems({});
  }, [view]);

  const failed = (error) => {
    setProblems(error.errors ?? {});
    setFailure(error.errors ? "" : `That did not reach the app: ${error.message}`);
  };
  const submit = (event) => {
    event.preventDefault();
    setWaiting(true);
    setFailure("");
    server.submit({ user: me, values }).catch(failed).finally(() => setWaiting(false));
  };
  const close = (event) => {
    event.preventDefault();
    server.close({ user: me }).catch(failed);
  };

  return (
    <dialog ref={dialog} className="modal" aria-labelledby={title} data-testid="modal" onCancel={close}>
      <form onSubmit={submit}>
        <header className="modal_head">
          <h2 id={title}>{view.title.text}</h2>
          <button type="button" className="bar_close" aria-label="Close" onClick={close}>×</button>
        </header>
        <div className="modal_body">
          {view.blocks.map((block) =>
            isInput(block) ? (
              <Asked
                key={block.block_id}
                block={block}
                value={values[block.element.action_id] ?? ""}
                problem={problems[block.block_id]}
                onChange={(value) => setValues((all) => ({ ...all, [block.element.action_id]: value }))}
              />
            ) : (
              <ViewBlocks key={block.block_id} blocks={[block]} place={`${view.id} ${block.block_id}`} />
            ),
          )}
          {failure && <div className="failure" role="alert">{failure}</div>}
        </div>
        <footer className="modal_foot">
          <button type="button" className="modal_close" data-testid="modal-close" onClick={close}>{view.close?.text ?? "Cancel"}</button>
          {view.submit && <button type="submit" className="modal_submit" data-testid="modal-submit" disabled={waiting}>{view.submit.text}</button>}
        </footer>
      </form>
    </dialog>
  );
}
