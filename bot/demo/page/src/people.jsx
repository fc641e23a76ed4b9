// People and times as the page writes them.

export const displayName = (user) => (user ? (user.is_bot ? user.name : user.real_name || user.name) : "");

/** Two letters for a Latin name, the last two characters for a Chinese one. */
function initials(name) {
  if (/[\u3400-\u9fff]/.test(name)) return name.slice(-2);
  return name.split(/\s+/).map((word) => word[0] ?? "").slice(0, 2).join("").toUpperCase();
}

const BotMark = () => (
  <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.8" aria-hidden="true">
    <ellipse cx="12" cy="6" rx="7" ry="2.8" />
    <path d="M5 6v12c0 1.5 3.1 2.8 7 2.8s7-1.3 7-2.8V6M5 12c0 1.5 3.1 2.8 7 2.8s7-1.3 7-2.8" />
  </svg>
);

export function Avatar({ user, small = false }) {
  const name = displayName(user) || "?";
  const color = user?.color ? `#${String(user.color).replace(/^#/, "")}` : "#5b6b7b";
  return (
    <span className={small ? "avatar avatar_small" : "avatar"} style={{ backgroundColor: user?.is_bot ? "#0f766e" : color }} aria-hidden="true">
      {user?.is_bot ? <BotMark /> : initials(name)}
    </span>
  );
}

const dateOf = (ts) => new Date(Number(ts.split(".")[0]) * 1000);
const twoDigits = (n) => String(n).padStart(2, "0");

export const clock = (ts) => `${twoDigits(dateOf(ts).getHours())}:${twoDigits(dateOf(ts).getMinutes())}`;
export const fullTime = (ts) => dateOf(ts).toLocaleString("en-GB", { dateStyle: "full", timeStyle: "medium" });
export const dayKey = (ts) => dateOf(ts).toDateString();

export function dayName(ts, now = new Date()) {
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (dayKey(ts) === now.toDateString()) return "Today";
  if (dayKey(ts) === yesterday.toDateString()) return "Yesterday";
  return dateOf(ts).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" });
}
