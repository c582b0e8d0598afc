// What only the later rooms say, in Chinese: the pages' and the library's.
import library from "../lib/messages.rooms.zh.json";
import metrics from "./zh-CN.metrics.json";
import pages from "./zh-CN.rooms.json";

export default { ...library, ...pages, ...metrics };
