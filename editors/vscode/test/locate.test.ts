import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { candidates, firstProgram, installCommand } from "../src/locate.ts";

const folders: string[] = [];
after(() => folders.forEach((made) => rmSync(made, { recursive: true })));

function folder(...programs: string[]): string {
  const made = mkdtempSync(join(tmpdir(), "codemem-locate-"));
  folders.push(made);
  for (const name of programs) {
    const path = join(made, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, "");
    chmodSync(path, 0o755);
  }
  return made;
}

test("the folder's own environment comes before the PATH, and that before the home folder", async () => {
  const [project, path, home] = [folder(".venv/bin/codemem"), folder("codemem"), folder(".local/bin/codemem")];
  assert.equal(await firstProgram(candidates("", [project], path, home)), join(project, ".venv/bin/codemem"));
  assert.equal(await firstProgram(candidates("", [folder()], path, home)), join(path, "codemem"));
  assert.equal(await firstProgram(candidates("", [], "", home)), join(home, ".local/bin/codemem"));
  assert.equal(await firstProgram(candidates("", [], "", folder())), undefined);
});

test("a program that is named is the only one that is tried", async () => {
  const path = folder("codemem");
  assert.equal(await firstProgram(candidates("/nowhere/codemem", [], path, path)), undefined);
});

test("a folder or a file that cannot be run is no program", async () => {
  const path = folder();
  mkdirSync(join(path, "codemem"));
  assert.equal(await firstProgram([join(path, "codemem")]), undefined);
  writeFileSync(join(path, "plain"), "");
  assert.equal(await firstProgram([join(path, "plain")]), undefined);
});

test("it is installed with the tool that is here", async () => {
  const both = folder("pipx", "python3");
  assert.deepEqual(await installCommand(both), [join(both, "pipx"), "install", "codemem"]);
  const python = folder("python3");
  assert.deepEqual((await installCommand(python))?.slice(1), ["-m", "pip", "install", "--user", "codemem"]);
  assert.equal(await installCommand(folder()), undefined);
});
