// Task cards and plans: what an agent does, each with its sign; what it found is behind a fold.
import { useState } from "react";
import { chooseFold, chosenFold } from "./folds.js";
import { isSafeUrl } from "./mrkdwn.js";

const SIGNS = { pending: ["○", "waiting"], in_progress: ["◔", "running"], complete: ["✓", "done"], error: ["✗", "failed"] };

/** `draw` draws a rich_text block. */
export function TaskCard({ task, id, path, draw }) {
  const [sign, word] = SIGNS[task.status ?? "pending"] ?? SIGNS.pending;
  const sources = (task.sources ?? []).filter(({ url }) => isSafeUrl(url));
  const holds = Boolean(task.details || task.output || sources.length);
  const [choice, setChoice] = useState(() => chosenFold(path));
  const open = holds && (choice ?? false);
  const flip = () => {
    chooseFold(path, !open);
    setChoice(!open);
  };
  const head = (
    <>
      <span className="task_sign" role="img" aria-label={word}>{sign}</span>
      <span className="task_title">{task.title}</span>
    </>
  );
  return (
    <div className={`task task_${task.status ?? "pending"}`} id={id} data-testid="task" data-status={task.status}>
      {holds ? (
        <button type="button" className="task_head" aria-expanded={open} onClick={flip}>
          {head}
          <span className="container_caret" aria-hidden="true" />
        </button>
      ) : (
        <div className="task_head">{head}</div>
      )}
      {open && (
        <div className="task_content">
          {task.details && draw(task.details)}
          {task.output && draw(task.output)}
          {sources.length > 0 && (
            <p className="task_sources">{sources.map(({ url, text }) => <a key={url} href={url} target="_blank" rel="noreferrer noopener">{text}</a>)}</p>
          )}
        </div>
      )}
    </div>
  );
}

export const Plan = ({ plan, path, draw }) => (
  <section className="plan" id={plan.block_id} aria-label={plan.title} data-testid="plan">
    <h3>{plan.title}</h3>
    {(plan.tasks ?? []).map((task) => <TaskCard key={task.task_id} task={task} path={`${path} / ${task.task_id}`} draw={draw} />)}
  </section>
);
