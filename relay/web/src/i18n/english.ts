// All English texts as one piece to fetch: the pages' and the library's.
import library from "../lib/messages.en.json";
import pages from "./en.json";

export default { ...library, ...pages };
