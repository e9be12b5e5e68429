// Two workers, and another for each that ends. HUP replaces them one after the other: a new one listens before
// the old one lets go.
const cluster = require("node:cluster");

if (cluster.isPrimary) {
  let stopping = false;
  cluster.on("exit", (worker) => {
    if (!stopping && !worker.exitedAfterDisconnect) cluster.fork();
  });
  process.on("SIGHUP", () => replace(Object.values(cluster.workers)));
  process.on("SIGTERM", () => {
    stopping = true;
    cluster.disconnect(() => process.exit(0));
  });
  cluster.fork();
  cluster.fork();
} else {
  const app = require("express")();
  app.get("/", (_request, response) => response.json({ orders: 7 }));
  app.listen(8000, "127.0.0.1");
  // The primary tells it when to go.
  process.on("SIGTERM", () => {});
}

function replace([old, ...others]) {
  if (!old) return;
  cluster.fork().once("listening", () => {
    old.disconnect();
    replace(others);
  });
}
