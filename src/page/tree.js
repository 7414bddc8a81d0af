// A table whose rows are a tree. Rows are made when the one above them is opened, so thousands of nodes take no time.
//
// A node is {label, isProfiler, data, children}. Data null makes a mere heading. Columns: [{title, class, cell(node)}], where a cell is a
// text or an element; the class says on what widths it is shown. details(node) is what a click opens: {element, close()}.

const ROWS_AT_FIRST = 40;
const CHILDREN_AT_ONCE = 200;

class Tree {
    constructor(roots, {title, columns, details, weight}) {
        this.columns = columns;
        this.details = details;
        this.weight = weight;
        this.body = element("tbody", {});
        const heads = columns.map((column) => element("th", {scope: "col", class: column.class}, column.title));
        this.table = element("table", {class: "tree"},
            element("thead", {}, element("tr", {}, element("th", {scope: "col", class: "label"}, title), ...heads)), this.body);
        this.openHeaviest(this.addRows(roots, 0, null));
    }

    // Behind `after`, or at the end. Returns those with something in them.
    addRows(nodes, depth, after) {
        const rows = nodes.slice(0, CHILDREN_AT_ONCE).map((node) => this.row(node, depth));
        const all = nodes.length > rows.length ? [...rows, this.more(nodes.slice(rows.length), depth)] : rows;
        if (after)
            after.after(...all);
        else
            this.body.append(...all);
        return rows.filter((row) => row.twisty);
    }

    row(node, depth) {
        const hasMore = node.children.length > 0;
        const label = labelElement(node.label);
        const name = node.label.slice(0, LABEL_LENGTH);
        const twisty = hasMore ? element("button", {class: "twisty", type: "button", "aria-expanded": "false",
            "aria-label": `what is in ${name}`}) : null;
        const button = node.data ? element("button", {class: "node", type: "button", "aria-expanded": "false"}, label) : null;
        const cell = element("div", {}, ...(twisty ? [twisty] : []), button ?? label);
        const row = element("tr", {class: node.isProfiler ? "profiler" : null}, labelCell(depth, {scope: "row"}, cell),
            ...this.columns.map((column) => element("td", {class: column.class}, node.data ? column.cell(node) : "")));
        row.addEventListener("click", (event) => this.click(row, event));
        return Object.assign(row, {node, depth, twisty, button, detailsRow: null, detailsShown: null});
    }

    more(nodes, depth) {
        const button = element("button", {class: "node", type: "button"}, `and ${countText(nodes.length)} more`);
        const row = element("tr", {}, labelCell(depth, {colspan: this.columns.length + 1}, element("div", {}, button)));
        button.addEventListener("click", () => {
            this.addRows(nodes, depth, row);
            row.nextElementSibling.querySelector("button").focus();
            row.remove();
        });
        return Object.assign(row, {depth});
    }

    click(row, event) {
        if (row.twisty && (event.target === row.twisty || !row.button))
            this.setOpen(row, row.twisty.getAttribute("aria-expanded") === "false");
        else if (row.button && String(getSelection()) === "") // else somebody copies a text
            this.setDetails(row, row.detailsRow === null);
    }

    setOpen(row, isOpen) {
        const last = row.detailsRow ?? row;
        row.twisty.setAttribute("aria-expanded", isOpen);
        if (isOpen)
            return this.addRows(row.node.children, row.depth + 1, last);
        for (let next = last.nextElementSibling; next && next.depth > row.depth; next = last.nextElementSibling) {
            if (next.detailsRow)
                this.setDetails(next, false);
            next.remove();
        }
        return [];
    }

    setDetails(row, isOpen) {
        row.button.setAttribute("aria-expanded", isOpen);
        if (!isOpen) {
            row.detailsShown.close();
            row.detailsRow.remove();
            row.detailsRow = row.detailsShown = null;
            return;
        }
        const panel = element("div", {class: "panel"});
        row.detailsRow = element("tr", {class: "details"}, element("td", {colspan: this.columns.length + 1}, panel));
        row.after(row.detailsRow);
        row.detailsShown = this.details(row.node, panel); // it is in its place already: curves are as wide as that
    }

    // So that what matters is seen at first: what is in the heaviest nodes, as long as it is few rows.
    openHeaviest(closed) {
        while (closed.length > 0) {
            const heaviest = closed.reduce((one, other) => this.weight(other.node) > this.weight(one.node) ? other : one);
            closed.splice(closed.indexOf(heaviest), 1);
            if (this.body.rows.length === 1 || this.body.rows.length + heaviest.node.children.length <= ROWS_AT_FIRST)
                closed.push(...this.setOpen(heaviest, true));
        }
    }
}

function labelCell(depth, attributes, content) {
    const cell = element("th", {...attributes, class: "label"}, content);
    cell.style.setProperty("--depth", Math.min(depth, 20));
    return cell;
}

// A bar of a share of a whole, from 0 to 1. With `isDiverging` what is below 0 goes to the left of a middle.
function barElement(share, isDiverging = false) {
    const fill = element("span", {class: share < 0 ? "less" : isDiverging ? "more" : ""});
    fill.style.setProperty("--share", Math.min(Math.abs(share), 1));
    return element("span", {class: isDiverging ? "bar diverging" : "bar", "aria-hidden": "true"}, fill);
}
