// The console's first line of code: the real library and the pages meet here, and nowhere else.
import { connect } from "./lib/console";
import { narrow } from "./lib/outside";
import { start } from "./ui/start";

void start(() => {
  // Before anything is said to anybody.
  narrow();
  return connect();
});
