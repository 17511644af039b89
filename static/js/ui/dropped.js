// Files and folders that were chosen or dropped, each with its path inside what was dropped.

const JUNK = /(^|\/)(__MACOSX\/|\.[^/]+|Thumbs\.db$|desktop\.ini$)/i;

/** [{name, file}] of an input; a folder's files are named by their path in it. */
export function chosenFiles(input) {
  return named([...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file })));
}

/** [{name, file}] of a drop, folders walked through. */
export async function droppedFiles(transfer) {
  // Entries are only there during the event: take them all before the first wait.
  const entries = [...(transfer.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return named([...transfer.files].map((file) => ({ name: file.name, file })));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return named(found);
}

async function walk(entry, folder, found) {
  const name = folder + entry.name;
  if (entry.isFile) {
    found.push({ name, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
  } else {
    const reader = entry.createReader();
    for (;;) {
      // A browser hands out a hundred at a time.
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      for (const each of some) await walk(each, `${name}/`, found);
    }
  }
}

/** In the order of their names, without what systems put into folders. A folder around all of them is no part of the names. */
function named(files) {
  const kept = files.filter(({ name }) => !JUNK.test(name));
  const first = kept[0]?.name.split("/")[0] ?? "";
  const around = kept.length > 0 && kept.every(({ name }) => name.startsWith(`${first}/`)) && kept.some(({ name }) => name.split("/").length > 2);
  const shortened = around ? kept.map(({ name, file }) => ({ name: name.slice(first.length + 1), file })) : kept;
  return shortened.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** {fitting, others}: files with one of these endings, and how many have none. */
export function sorted(files, endings) {
  const fitting = files.filter(({ name }) => endings.some((ending) => name.toLowerCase().endsWith(ending)));
  return { fitting, others: files.length - fitting.length };
}
