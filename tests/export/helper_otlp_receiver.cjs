// SPDX-License-Identifier: MIT
// The OTLP receiver of @elastic/mockotlpserver without its gRPC, from the files of three npm packages: RECEIVER PROTOBUFJS LONG.
// Prints its address, then of each request a line of JSON: what it took it for, and the tree that it draws of that.
const Module = require('module');
const path = require('path');

const [receiver, protobufjs, long] = process.argv.slice(2);
const places = {protobufjs: path.join(protobufjs, 'dist/protobuf.min.js'), long: path.join(long, 'umd/index.js')};
const resolve = Module._resolveFilename;
Module._resolveFilename = (name, ...others) => places[name] || resolve(name, ...others);
const protobuf = require('protobufjs');
Object.assign(protobuf.util, {fs: require('fs'), Long: require('long')}); // the bundle is made for browsers
protobuf.configure();

const of = (name) => require(path.join(receiver, 'lib', name));
const {HttpService} = of('http.js');
const {TraceWaterfallPrinter} = of('waterfall.js');
const {jsonStringifyTrace} = of('normalize.js');
const {CH_OTLP_V1_TRACE, diagchSub} = of('diagch.js');

const received = [];
const print = console.log;
const answer = (drawn) => print(JSON.stringify({received: received.shift(), drawn}));
console.log = answer; // some time later
const fail = (...what) => answer(`trouble: ${JSON.stringify(what)}`);
const log = {debug() {}, info() {}, warn: fail, error: fail};
diagchSub(CH_OTLP_V1_TRACE, (trace) => received.push(JSON.parse(jsonStringifyTrace(trace, {normAttributes: true}))));
new TraceWaterfallPrinter(log).subscribe();
const service = new HttpService({log, hostname: '127.0.0.1', port: 0});
service.start().then(() => print(service.url.href));
process.stdin.on('end', () => process.exit(0)).resume();
