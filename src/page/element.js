// Making elements. Labels come from who was recorded and may be anything: they become text, never markup.

// element("td", {class: "number"}, "12 ms", element("b", {}, "!"))
function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
        if (value !== null)
            made.setAttribute(key, value);
    made.append(...children);
    return made;
}

const LABEL_LENGTH = 160;

// Isolated, so that a label that is written from right to left does not turn what is around it.
function labelElement(label, length = LABEL_LENGTH) {
    const characters = [...label.slice(0, 2 * length)];
    const isShort = label.length <= 2 * length && characters.length <= length;
    return element("bdi", {}, isShort ? label : characters.slice(0, length).join("") + "…");
}

// A list of what something is called and what it is; those without a value are left out.
function factsElement(facts) {
    const list = element("dl", {class: "facts"});
    for (const [name, value] of facts)
        if (value !== null && value !== "")
            list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    return list;
}

// "lookup() in src/table.c:12"
function placeText(node) {
    const place = node.file ? `${node.file}:${node.line}` : "";
    return node.function && place ? `${node.function} in ${place}` : node.function || place;
}

// The whole path, which in the table is shown by what is above.
function pathElement(path) {
    const made = element("p", {class: "path"});
    path.forEach((label, place) => made.append(...(place > 0 ? [" › "] : []), element("bdi", {}, label)));
    return made;
}
