// The bundle's entry: styles in order (the library's, then ours), then the page.
import "slack-blocks-to-jsx/dist/style.css";
import "./page.css";
import "./blocks.css";
import "./app.jsx";
