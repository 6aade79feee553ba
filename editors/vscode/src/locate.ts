// Where the codemem program is, and how it could be installed.
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

const WINDOWS = process.platform === "win32";
const PROGRAM = WINDOWS ? "codemem.exe" : "codemem";

/** Where it may be, the most particular first. */
export function candidates(configured: string, folders: string[], path = process.env.PATH ?? "", home = homedir()): string[] {
  if (configured) {
    return [configured];
  }
  const scripts = WINDOWS ? "Scripts" : "bin";
  return [
    ...folders.flatMap((folder) => [".venv", "venv"].map((name) => join(folder, name, scripts, PROGRAM))),
    ...path.split(delimiter).filter(Boolean).map((folder) => join(folder, PROGRAM)),
    join(home, ".local", "bin", PROGRAM),
  ];
}

/** The first that is a program. */
export async function firstProgram(paths: string[]): Promise<string | undefined> {
  for (const path of paths) {
    if (await isProgram(path)) {
      return path;
    }
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** A command that installs codemem into an environment of its own, by the first tool that is here; undefined if none is. */
export async function installCommand(path = process.env.PATH ?? ""): Promise<string[] | undefined> {
  const ways: [string, string[]][] = [
    ["uv", ["tool", "install", "codemem"]],
    ["pipx", ["install", "codemem"]],
    ["python3", ["-m", "pip", "install", "--user", "codemem"]],
    ["python", ["-m", "pip", "install", "--user", "codemem"]],
  ];
  const folders = path.split(delimiter).filter(Boolean);
  for (const [tool, rest] of ways) {
    const found = await firstProgram(folders.map((folder) => join(folder, WINDOWS ? `${tool}.exe` : tool)));
    if (found) {
      return [found, ...rest];
    }
  }
  return undefined;
}
