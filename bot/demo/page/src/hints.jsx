// Questions to try, for somebody who sees the page for the first time.

export const EXAMPLES = [
  { text: "@das why is rm-bp1demo0001 slow?", about: "Slow SQL, an index to add" },
  { text: "@das who holds the locks on rm-bp1demo0001?", about: "Lock waits" },
  { text: "@das the disk of rm-bp1demo0001 is almost full", about: "Disk full" },
  { text: "@das rm-bp1demo0001 has a connection spike", about: "Connections, two sub-agents" },
  { text: "@das why does the replica of rm-bp1demo0001 lag?", about: "A tool that fails" },
  { text: "@das a full report on rm-bp1demo0001, please", about: "A long answer with tables" },
  { text: "@das rm-bp1demo0001 为什么变慢了？", about: "中文提问，中文回答" },
  { text: "/das-diagnose rm-bp1demo0001 slow since 9:40", about: "The same as a command" },
  { text: "/rds-ask why is rm-bp1demo0001 slow?", about: "RDS Copilot, with sources" },
  { text: "/rds-ask more connections for rm-bp1demo0001 demo:approve", about: "Waits for consent" },
  { text: "@das which orders is slow? demo:interrupt", about: "The agent asks back" },
  { text: "@das why is rm-bp1demo0001 slow? demo:cut", about: "The connection breaks" },
];

/** In a direct message nobody needs to be mentioned. */
const asDirect = (text) => text.replace(/^@das /, "");

export function Hints({ direct, onPick }) {
  return (
    <section className="hints" aria-label="Questions to try">
      <h2>Ask the database agents</h2>
      <p>Pick a question to put it into the box below, then press Enter. The answer grows in a thread.</p>
      <ul>
        {EXAMPLES.map(({ text, about }) => (
          <li key={text}>
            <button type="button" data-testid="hint-question" onClick={() => onPick(direct ? asDirect(text) : text)}>
              <span className="hints_text">{direct ? asDirect(text) : text}</span>
              <span className="hints_about">{about}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
