import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { problem, summary } from "../../static/js/pages/import.js";
import { ApiError } from "../../static/js/store/api.js";
import { browserMemory, fingerprint, Upload } from "../../static/js/store/upload.js";
import { chosenFiles, droppedFiles, sorted } from "../../static/js/ui/dropped.js";

const limits = { maxBytes: 3 * 2 ** 20, maxFiles: 2, maxFileBytes: 2 * 2 ** 20, pictures: [".png"] };
const file = (megabytes, name = "a.csv") => ({ name, file: { size: megabytes * 2 ** 20 } });

describe("files before they are sent", () => {
  test("fit within the limits", () => assert.equal(problem([file(1), file(2)], limits), ""));
  test("have to be chosen", () => assert.match(problem([], limits), /at least one/));
  test("may not be too many", () => assert.match(problem([file(0), file(0), file(0)], limits), /at most 2 files/));
  test("may not be too large together", () => assert.match(problem([file(2), file(2)], limits), /4 MiB; 3 MiB are allowed/));
  test("may not be too large alone", () => assert.match(problem([file(3, "big.png")], limits), /“big.png” has 3 MiB; an image may have 2 MiB/));
  test("may be an archive that is larger than an image", () => assert.equal(problem([file(3, "all.zip")], limits), ""));
  test("are told in a sentence", () => {
    assert.equal(summary([file(1, "cat/1.png"), file(0.5, "dog/1.png")], 3), "2 files in 2 folders, 1.5 MiB; 3 of other kinds are left out");
    assert.equal(summary([file(1, "a.csv")], 0), "a.csv, 1 MiB");
  });
});

describe("folders", () => {
  const input = (...paths) => ({ files: paths.map((path) => ({ name: path.split("/").pop(), webkitRelativePath: path, size: 1 })) });
  const names = (files) => files.map(({ name }) => name);

  test("give their files the path within them", () => {
    assert.deepEqual(names(chosenFiles(input("set/dog/2.png", "set/cat/1.png"))), ["cat/1.png", "dog/2.png"]);
  });
  test("are classes themselves when they hold the files", () => {
    assert.deepEqual(names(chosenFiles(input("cat/1.png", "cat/2.png"))), ["cat/1.png", "cat/2.png"]);
  });
  test("lose what systems put into them", () => {
    assert.deepEqual(names(chosenFiles(input("s/.DS_Store", "s/a/Thumbs.db", "s/a/1.png", "s/__MACOSX/x/1.png"))), ["a/1.png"]);
  });
  test("are walked through when they are dropped, however many files a browser hands out at a time", async () => {
    const leaf = (name) => ({ isFile: true, name, file: (resolve) => resolve({ name, size: 1 }) });
    const folder = (name, ...batches) => ({ isFile: false, name, createReader: () => ({ readEntries: (resolve) => resolve(batches.shift() ?? []) }) });
    const entries = [folder("set", [folder("cat", [leaf("1.png")], [leaf("2.png")])], [folder("dog", [leaf("1.png")])])];
    const transfer = { items: entries.map((entry) => ({ webkitGetAsEntry: () => entry })), files: [] };
    assert.deepEqual(names(await droppedFiles(transfer)), ["cat/1.png", "cat/2.png", "dog/1.png"]);
  });
  test("are loose files where the browser knows no entries", async () => {
    assert.deepEqual(names(await droppedFiles({ files: [{ name: "b.csv" }, { name: "a.csv" }] })), ["a.csv", "b.csv"]);
  });
  test("may hold what cannot be imported", () => {
    const { fitting, others } = sorted([{ name: "a.PNG" }, { name: "b.txt" }], [".png"]);
    assert.deepEqual([names(fitting), others], [["a.PNG"], 1]);
  });
});

/** A server that keeps bytes, and breaks as told: `breaks` holds what is thrown instead of, or after, the next PUTs. */
class Server {
  constructor({ chunk = 4, breaks = [], kept = null } = {}) {
    Object.assign(this, { chunk, breaks, calls: [], files: kept, complete: false });
  }

  state() {
    return { id: 7, complete: this.complete, chunk_bytes: this.chunk, files: this.files.map(({ size, data }) => ({ size, offset: data.length })) };
  }

  api = {
    get: async () => {
      this.calls.push("GET");
      if (!this.files) throw new ApiError("gone", { status: 404, code: "not_found" });
      return this.state();
    },
    post: async (url, json) => {
      this.calls.push(url.endsWith("complete/") ? "complete" : "create");
      if (url.endsWith("complete/")) this.complete = true;
      else this.files = json.files.map(({ size }) => ({ size, data: "" }));
      return this.state();
    },
    request: async (url, { body }) => {
      const query = new URL(url, "http://x").searchParams;
      const here = this.files[Number(query.get("file"))];
      const offset = Number(query.get("offset"));
      this.calls.push(`PUT ${query.get("file")}@${offset}`);
      const broken = this.breaks.shift();
      if (broken?.before) throw broken.before;
      if (offset !== here.data.length) throw new ApiError("elsewhere", { status: 409, code: "wrong_offset", problem: { offset: here.data.length } });
      here.data += await body.text();
      if (broken?.after) throw broken.after;
      return { offset: here.data.length };
    },
  };
}

const away = new ApiError("away", { code: "offline" });
const memory = () => {
  const kept = new Map();
  return { get: (key) => kept.get(key) ?? null, set: (key, id) => kept.set(key, id), remove: (key) => kept.delete(key), kept };
};
const blobs = (...texts) => texts.map((text, n) => ({ name: `${n}.txt`, file: new Blob([text]) }));
const make = (server, files, options = {}) => new Upload({ url: "/u/", files, memory: memory(), api: server.api, wait: async () => {}, ...options });

describe("an upload", () => {
  test("sends every byte in pieces and says so", async () => {
    const server = new Server();
    const seen = [];
    const upload = make(server, blobs("hello world", "", "abc"), { onProgress: (sent, total) => seen.push([sent, total]) });
    assert.equal(await upload.send(), 7);
    assert.deepEqual(server.files.map(({ data }) => data), ["hello world", "", "abc"]);
    assert.deepEqual([seen[0], seen.at(-1)], [[0, 14], [14, 14]]);
    assert.equal(server.calls.at(-1), "complete");
  });

  test("goes on by itself after the connection was lost", async () => {
    const server = new Server({ breaks: [{ before: away }, { before: away }] });
    const told = [];
    await make(server, blobs("hello"), { onWait: (error) => told.push(error) }).send();
    assert.equal(server.files[0].data, "hello");
    assert.deepEqual(told, [away, away, null]);
  });

  test("sends nothing twice when only the answer was lost", async () => {
    const server = new Server({ breaks: [{ after: away }] });
    await make(server, blobs("hello world")).send();
    assert.equal(server.files[0].data, "hello world");
    assert.deepEqual(server.calls, ["create", "PUT 0@0", "PUT 0@0", "PUT 0@4", "PUT 0@8", "complete"]);
  });

  test("goes on after a reload where it was", async () => {
    const files = blobs("hello world");
    const remembered = memory();
    remembered.set(fingerprint(files), 7);
    const server = new Server({ kept: [{ size: 11, data: "hello wo" }] });
    await make(server, files, { memory: remembered }).send();
    assert.equal(server.files[0].data, "hello world");
    assert.deepEqual(server.calls, ["GET", "PUT 0@8", "complete"]);
    assert.equal(remembered.kept.size, 0);
  });

  test("begins anew when the server has forgotten it, or keeps other files under its number", async () => {
    for (const kept of [null, [{ size: 5, data: "" }]]) {
      const files = blobs("hello world");
      const remembered = memory();
      remembered.set(fingerprint(files), 7);
      const server = new Server({ kept });
      await make(server, files, { memory: remembered }).send();
      assert.deepEqual(server.calls.slice(0, 2), ["GET", "create"]);
    }
  });

  test("ends with the server's words when it is refused", async () => {
    const refused = new ApiError("This project is archived.", { status: 409, code: "archived" });
    const server = new Server({ breaks: [{ before: refused }] });
    await assert.rejects(make(server, blobs("hello")).send(), refused);
  });

  test("stops when it is told to, and is remembered", async () => {
    const server = new Server({ breaks: [{ before: away }] });
    const remembered = memory();
    const upload = new Upload({ url: "/u/", files: blobs("hello"), memory: remembered, api: server.api, onWait: () => upload.stop() });
    await assert.rejects(upload.send(), { name: "AbortError" });
    assert.equal(remembered.kept.size, 1);
  });
});

test("files are told apart by name, size and time", () => {
  const one = (name, size, lastModified) => fingerprint([{ name, file: { size, lastModified } }]);
  assert.equal(one("a", 1, 2), one("a", 1, 2));
  assert.equal(new Set([one("a", 1, 2), one("b", 1, 2), one("a", 2, 2), one("a", 1, 3)]).size, 4);
});

test("a browser that may not remember forgets quietly", () => {
  const refuses = () => {
    throw new Error("denied");
  };
  const memory = browserMemory(1, { getItem: refuses, setItem: refuses, removeItem: refuses });
  memory.set("a", 1);
  memory.remove("a");
  assert.equal(memory.get("a"), null);
});
