// The start: finds the data, which are what `--json` prints, and shows them as the command's page does.

const FINDINGS_SHOWN = 20;

function show() {
    const pages = {report: showReport, diff: showDiff, scaling: showScaling};
    const data = document.querySelector('script[type="application/json"]');
    const shown = pages[data.id](JSON.parse(data.textContent), document.getElementById("content"));
    document.title = `lapmark ${data.id}: ${shown.sentence.slice(0, LABEL_LENGTH)}`;
    document.getElementById("sentence").textContent = shown.sentence;
    const findings = shown.findings.slice(0, FINDINGS_SHOWN);
    if (shown.findings.length > FINDINGS_SHOWN)
        findings.push(`and ${countText(shown.findings.length - FINDINGS_SHOWN)} more`);
    document.getElementById("findings").append(...findings.map((finding) => element("li", {}, finding)));
    for (const [title, lines] of shown.head)
        if (lines.length > 0)
            document.getElementById("head").append(element("dt", {}, title), ...lines.map((line) => element("dd", {}, line)));
    document.getElementById("notes").textContent = shown.notes;
}

show();
