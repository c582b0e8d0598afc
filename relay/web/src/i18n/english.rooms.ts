// What only the later rooms say, in English: the pages' and the library's.
import library from "../lib/messages.rooms.en.json";
import metrics from "./en.metrics.json";
import pages from "./en.rooms.json";

export default { ...library, ...pages, ...metrics };
