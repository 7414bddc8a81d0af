// SPDX-License-Identifier: MIT
// A profile as the npm package pprof-format reads it: node helper_pprof.mjs DIRECTORY PROFILE prints it as one object of JSON, its texts
// in place; a sample is the numbers of its frames, from the root on, and its values. DIRECTORY is the package's. What a reader would refuse is thrown.
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [directory, file] = process.argv.slice(2);
const { Profile } = await import(pathToFileURL(join(directory, "dist/esm/index.js")).href);
const bytes = new Uint8Array(readFileSync(file));
const profile = Profile.decode(bytes);

function text(index) {
    const found = profile.stringTable.strings[Number(index)];
    if (found === undefined)
        throw new Error(`there is no string ${index}`);
    return found;
}

function by_id(list, what) {
    const found = new Map();
    for (const one of list) {
        if (!one.id || found.has(one.id))
            throw new Error(`a ${what} without an id of its own: ${one.id}`);
        found.set(one.id, one);
    }
    return (id) => {
        if (!found.has(id))
            throw new Error(`there is no ${what} ${id}`);
        return found.get(id);
    };
}

const type = (value) => [text(value.type), text(value.unit)];
const mapping = by_id(profile.mapping, "mapping");
const func = by_id(profile.function, "function");
const location = by_id(profile.location, "location");

const frames = [], numbers = new Map();
function frame(id) {
    if (numbers.has(id))
        return numbers.get(id);
    const { line, mappingId } = location(id);
    const { name, systemName, filename } = func(line[0].functionId);
    numbers.set(id, frames.length);
    return frames.push({ label: text(name), function: text(systemName), file: text(filename), line: Number(line[0].line),
                         mapping: mappingId ? text(mapping(mappingId).filename) : null }) - 1;
}

if (text(0) !== "")
    throw new Error("the first string is not empty");
const samples = profile.sample.map(({ locationId, value }) => {
    if (value.length !== profile.sampleType.length)
        throw new Error("a sample has other values than there are types");
    return [locationId.map(frame).reverse(), value.map(Number)];
});
let out = Buffer.from(JSON.stringify({
    types: profile.sampleType.map(type), default_type: text(profile.defaultSampleType),
    period_type: type(profile.periodType), period: Number(profile.period),
    time_ns: String(profile.timeNanos), duration_ns: Number(profile.durationNanos),
    comments: profile.comment.map(text), frames, samples }) + "\n");
while (out.length > 0) // console.log() would be cut by the exit
    out = out.subarray(writeSync(1, out));
