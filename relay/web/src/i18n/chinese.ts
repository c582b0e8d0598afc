// All Chinese texts as one piece to fetch: the pages' and the library's.
import library from "../lib/messages.zh.json";
import pages from "./zh-CN.json";

export default { ...library, ...pages };
