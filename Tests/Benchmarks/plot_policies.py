"""Draws what policy_bench measured.

    python plot_policies.py policies.csv policies.png
"""
import csv
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

COLORS = {
    "efferent": "tab:blue",
    "efferent f16": "tab:purple",
    "efferent bf16": "tab:red",
    "efferent int8": "tab:pink",
    "onnxruntime int8": "tab:olive",
    "efferent, prewarmed": "tab:cyan",
    "onnxruntime": "tab:orange",
    "openvino": "tab:brown",
    "eigen": "tab:green",
}


def bars(axes, rows, value, label):
    nets = list(dict.fromkeys(r["net"] for r in rows))
    engines = [e for e in COLORS if any(r["engine"] == e for r in rows)]
    width = 0.8 / len(engines)
    for k, engine in enumerate(engines):
        found = {r["net"]: float(r[value]) for r in rows if r["engine"] == engine}
        axes.bar(
            [i + k * width for i, n in enumerate(nets) if n in found],
            [found[n] for n in nets if n in found],
            width,
            label=engine,
            color=COLORS[engine],
        )
    axes.set_xticks([i + 0.4 - width / 2 for i in range(len(nets))], nets, rotation=45, ha="right", fontsize=7)
    axes.set_yscale("log")
    axes.set_ylabel(label)
    axes.legend(fontsize=7)
    axes.grid(axis="y", alpha=0.3)


def main():
    rows = list(csv.DictReader(open(sys.argv[1])))
    panels = [m for m in ("hot", "precision", "periodic", "batch", "load") if any(r["mode"] == m for r in rows)]
    if not panels:
        print(f"{sys.argv[2]} is not drawn: these modes have no picture")
        return
    figure, grid = plt.subplots(len(panels), 1, figsize=(10, 3.6 * len(panels)), squeeze=False)
    for axes, mode in zip(grid[:, 0], panels):
        part = [r for r in rows if r["mode"] == mode]
        if mode == "batch":
            for net in dict.fromkeys(r["net"] for r in part):
                for engine in ("efferent", "onnxruntime"):
                    line = [
                        (int(r["rows"]), int(r["rows"]) / float(r["p50_us"]))
                        for r in part
                        if r["net"] == net and r["engine"] == engine
                    ]
                    (
                        axes.plot(*zip(*line), "-o" if engine == "efferent" else "--s", ms=3, label=f"{net} {engine}")
                        if line
                        else None
                    )
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xlabel("rows per call")
            axes.set_ylabel("rows per microsecond")
            axes.legend(fontsize=7)
            axes.grid(alpha=0.3)
        else:
            bars(axes, part, "p50_us", "p50, microseconds")
        axes.set_title(mode, fontsize=9)
    figure.tight_layout()
    figure.savefig(sys.argv[2], dpi=120)


if __name__ == "__main__":
    main()
