// Numbers as the command's text has them: see src/cli/units.h and src/text/duration.h.

// Like printf: of two texts that are as near, the one with the even digit, and a 0 that came from below has its sign. toFixed() takes
// the greater, and no sign.
function fixed(value, decimals) {
    const text = (Object.is(value, -0) ? "-" : "") + value.toFixed(decimals);
    const isTie = /5$/.test(value.toFixed(decimals + 1)) && /50{19}$/.test(value.toFixed(decimals + 20));
    if (!isTie || /[02468]$/.test(text))
        return text;
    return (value - Math.sign(value) * 10 ** -decimals / 2).toFixed(decimals);
}

function countText(count) {
    return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

// "1 event", "2 processes"
function countedText(count, singular) {
    const plural = count === 1 ? "" : singular.endsWith("s") ? "es" : "s";
    return `${countText(count)} ${singular}${plural}`;
}

// A count a run: whole where it is.
function meanCountText(count) {
    return Number.isInteger(count) ? countText(count) : fixed(count, count < 100 ? 1 : 0);
}

function durationText(ns) {
    const value = Math.min(Math.max(ns, 0), 1e21);
    if (value >= 600e9 && value < 1e18) {
        const seconds = Math.floor(value / 1e9 + 0.5);
        return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s`
            : `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
    }
    if (value === 0)
        return "0 ns";
    const units = [[1, "ns"], [1e3, "µs"], [1e6, "ms"], [1e9, "s"]];
    const [scale, unit] = units.find(([each]) => value / each < 999.5) ?? units[3];
    const shown = value / scale;
    const decimals = shown < 9.995 ? 2 : shown < 99.95 ? 1 : 0;
    const step = 10 ** decimals;
    return `${(Math.floor(shown * step + 0.5) / step).toFixed(decimals)} ${unit}`;
}

// What is added: "+16.1 ms", "-3.00 ns", "0".
function addedText(ns) {
    return Math.abs(ns) < 0.5 ? "0" : (ns < 0 ? "-" : "+") + durationText(Math.abs(ns));
}

function shareText(part, whole) {
    if (!(whole > 0))
        return "";
    return part > 0 && part / whole < 0.0005 ? "<0.1%" : `${fixed(100 * part / whole, 1)}%`;
}

// "0.00040", "0.953", "12.1"
function factorText(factor) {
    if (factor >= 0.0995)
        return fixed(factor, factor < 10 ? 3 : 1);
    const [digits, exponent] = factor.toExponential(1).split("e-");
    return exponent > 4 ? `${digits}e-${exponent.padStart(2, "0")}` : factor.toPrecision(2);
}

function ratioText(ratio) {
    return ratio === null ? "" : `${factorText(ratio)}x`;
}

// "0.981 to 1.001"; "?" where an end is not known.
function intervalText(interval) {
    if (interval === null)
        return "";
    const [low, high] = interval;
    if (low === null || high === null || high >= 1e6)
        return "?";
    return `${factorText(low)} to ${factorText(high)}`;
}

// "200 → 600", or one of them where both are the same.
function pairText(before, after) {
    return before === after ? before : `${before || "-"} → ${after || "-"}`;
}
