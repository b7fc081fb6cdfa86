"""Named suites: which sets, made how, measured by which protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unveil.degradations import Bits, Blur, Dark
from unveil.evaluation.baselines import ROUND
from unveil.evaluation.damage import (
    Damage,
    Enlarged,
    FewBits,
    GaussianNoise,
    Generated,
    JpegFile,
    PublishedTask,
    Unchanged,
)
from unveil.evaluation.sets import EvaluationSet, Folder
from unveil.evaluation.sizing import Sizing
from unveil.methods.mioir.degradations import Span

WHOLE = Sizing("whole")


@dataclass(frozen=True, slots=True)
class Way:
    """How the code of a paper measures: protocols, the one that counts first, and what happens to sizes."""

    protocols: tuple[str, ...]
    sizing: Sizing = WHOLE


# AirNet and PromptIR cut test pictures so, and ABAIR's comparisons are theirs; Y beside it, for papers that print it.
PROMPTIR = Way(("rgb", "y"), Sizing("centre", 16))
MIOIR = Way(("rgb8:4",))
CONSTYLE, CONSTYLE_RAIN = (Way(protocols, Sizing("padded", 8)) for protocols in (("rgb8", "y"), ("y", "rgb8")))
CONSTYLE_2, CONSTYLE_2_RAIN = (Way(protocols, Sizing("corner", 32)) for protocols in (("rgb8", "y"), ("y", "rgb8")))
CONSTYLE_2_HAZE = Way(("rgb8", "y"), Sizing("corner", 128))


# Printed name and name in the catalogue of public sets; the rest of a name tells apart several uses of one set.
PUBLIC = {
    "sots-outdoor": ("SOTS outdoor", "sots/outdoor"),
    "rain100l": ("Rain100L", "rain100l/test"),
    "rain100h": ("Rain100H", "rain100h/test"),
    "test100": ("Test100", "test100"),
    "test1200": ("Test1200", "test1200"),
    "test2800": ("Test2800", "test2800"),
    "gopro": ("GoPro", "gopro/test"),
    "hide": ("HIDE", "hide/test"),
    "realblur-j": ("RealBlur-J", "realblur/j"),
    "realblur-r": ("RealBlur-R", "realblur/r"),
    "dpdd": ("DPDD", "dpdd/test"),
    "realdof": ("RealDOF", "realdof"),
    "lol-v1": ("LOL v1", "lol-v1/test"),
    "lol-v2-real": ("LOL v2 real", "lol-v2/real"),
    "lol-v2-synthetic": ("LOL v2 synthetic", "lol-v2/synthetic"),
    "fivek": ("FiveK", "fivek/test"),
    "csd": ("CSD", "csd/test"),
    "snow100k-s": ("Snow100K-S", "snow100k/s"),
    "snow100k-m": ("Snow100K-M", "snow100k/m"),
    "snow100k-l": ("Snow100K-L", "snow100k/l"),
    "cdd11-haze-snow": ("CDD-11, haze and snow", "cdd11/haze_snow"),
    "cbsd68": ("CBSD68", "cbsd68"),
    "kodak24": ("Kodak24", "kodak24"),
    "urban100": ("Urban100", "urban100"),
    "live1": ("LIVE1", "live1"),
    "ntire18-difficult": ("NTIRE18 Difficult", "ntire18/difficult"),
    "ntire18-mild": ("NTIRE18 Mild", "ntire18/mild"),
    "ntire18-wild": ("NTIRE18 Wild", "ntire18/wild"),
    "ntire20": ("NTIRE20", "ntire20/aim19"),
    "t-oled": ("T-OLED", "toled/test"),
}
# The same pictures under the names that small copies beside the code have.
COPIES = {"cbsd68": ("test_cbsd68", 68), "kodak24": ("test_kodak24", 24)}


@dataclass(frozen=True, slots=True)
class Suite:
    """A list of sets with a name, and what a reader must know of it."""

    name: str
    summary: str
    sets: tuple[EvaluationSet, ...]


def public(
    name: str,
    label: str,
    degradation: str,
    way: Way,
    *,
    key: str | None = None,
    damage: Damage | None = None,
    ours: bool = False,
) -> EvaluationSet:
    """A set of the table of public sets; `key` tells apart several uses of one."""
    printed, data = PUBLIC[name]
    copy, count = COPIES.get(name, (None, None))
    return EvaluationSet(
        name=key or name,
        printed=printed,
        label=label,
        degradation=degradation,
        data=data,
        folders=(Folder(copy),) if copy else (),
        expected=count,
        damage=damage,
        ours=ours,
        protocols=way.protocols,
        sizing=way.sizing,
    )


def noisy(name: str, sigma: int, way: Way, *, cut: bool = False) -> EvaluationSet:
    label, damage = f"noise, sigma {sigma}", GaussianNoise(sigma, cut=cut)
    return public(name, label, "noise", way, key=f"{name}-{sigma}", damage=damage)


def three() -> tuple[EvaluationSet, ...]:
    return (
        public("sots-outdoor", "haze", "haze", PROMPTIR),
        public("rain100l", "rain", "rain", PROMPTIR),
        *(noisy("cbsd68", sigma, PROMPTIR, cut=True) for sigma in (15, 25, 50)),
    )


def five() -> tuple[EvaluationSet, ...]:
    return (
        public("rain100l", "rain", "rain", PROMPTIR),
        public("sots-outdoor", "haze", "haze", PROMPTIR),
        noisy("cbsd68", 25, PROMPTIR, cut=True),
        public("gopro", "motion blur", "blur", PROMPTIR),
        public("lol-v1", "low light", "dark", PROMPTIR),
    )


def unseen() -> tuple[EvaluationSet, ...]:
    return (
        public("kodak24", "4 of 8 bits", "bits", PROMPTIR, key="bits", damage=FewBits(4), ours=True),
        public("live1", "JPEG, quality 20", "jpeg", PROMPTIR, key="jpeg", damage=JpegFile(20), ours=True),
        public("snow100k-l", "snow", "snow", PROMPTIR, key="snow", ours=True),
    )


def mixed() -> tuple[EvaluationSet, ...]:
    noise, jpeg = GaussianNoise(25, cut=True), JpegFile(20)
    return (
        public("gopro", "motion blur, noise", "blur+noise", PROMPTIR, key="blur-noise", damage=noise, ours=True),
        public("gopro", "motion blur, JPEG", "blur+jpeg", PROMPTIR, key="blur-jpeg", damage=jpeg, ours=True),
        public("cdd11-haze-snow", "haze, snow", "haze+snow", PROMPTIR, key="haze-snow", ours=True),
    )


def additional() -> tuple[EvaluationSet, ...]:
    return (
        public("rain100h", "heavy rain", "rain", PROMPTIR),
        public("hide", "motion blur", "blur", PROMPTIR),
        public("lol-v2-real", "low light", "dark", PROMPTIR),
    )


MIOIR_TASKS = ("sr", "lowres"), *((task, task) for task in ("blur", "noise", "jpeg", "rain", "haze", "dark"))
"""The authors' names and ours, in the order of the paper's tables."""

MIOIR_SPANS: tuple[tuple[str, Span], ...] = (("", "in"), ("_outbig", "out"))
"""What the authors add to these names, in and out of the distribution of training."""


def mioir() -> tuple[EvaluationSet, ...]:
    """Tasks in the order of the paper's tables; degraded folders as the authors name them."""
    unknown = ("ntire18-difficult", "ntire18-mild", "ntire18-wild", "ntire20", "t-oled")
    made = _seven("mio100", ("original/", ""), "MiO100", expected=100)
    return (*made, *(public(name, "unknown", "unknown", MIOIR) for name in unknown))


def mioir_own() -> tuple[EvaluationSet, ...]:
    """What `unveil prepare mioir` wrote."""
    return _seven("mioir", ("",), "own pictures", expected=None)


def mioir_local() -> tuple[EvaluationSet, ...]:
    """The same made on the fly, from pictures that can be kept beside the code."""
    way = Way(MIOIR.protocols, Sizing("corner", 4))
    return tuple(
        public(
            "kodak24", f"{task}{suffix}", name, way, key=f"{task}{suffix}", damage=PublishedTask(name, span), ours=True
        )
        for suffix, span in MIOIR_SPANS
        for task, name in MIOIR_TASKS
    )


def _seven(folder: str, homes: Sequence[str], printed: str, *, expected: int | None) -> tuple[EvaluationSet, ...]:
    """The seven tasks twice, as pairs in the authors' folders below any of `homes`."""
    return tuple(
        EvaluationSet(
            name=f"{task}{suffix}",
            printed=f"{printed}, {'In-Dis' if span == 'in' else 'Out-Dis'}",
            label=task,
            degradation=degradation,
            folders=tuple(
                Folder(folder, f"{home}{task}{suffix}/*", ((rf"^{home}[^/]+/(.*?)(x4)?$", rf"{home}GT/\1"),))
                for home in homes
            ),
            expected=expected,
            ours=expected is None,
            protocols=MIOIR.protocols,
        )
        for suffix, span in MIOIR_SPANS
        for task, degradation in MIOIR_TASKS
    )


def constyle() -> tuple[EvaluationSet, ...]:
    return (
        *(noisy(name, sigma, CONSTYLE) for name in ("cbsd68", "urban100") for sigma in (15, 25, 50)),
        *(public(name, "motion blur", "blur", CONSTYLE) for name in ("gopro", "hide", "realblur-r", "realblur-j")),
        public("sots-outdoor", "haze", "haze", CONSTYLE),
        *(public(name, "rain", "rain", CONSTYLE_RAIN) for name in ("rain100h", "rain100l")),
    )


def constyle_v2() -> tuple[EvaluationSet, ...]:
    way = CONSTYLE_2
    rain = ("rain100h", "rain100l", "test100", "test1200", "test2800")
    jpeg = {quality: JpegFile(quality, swapped=True) for quality in (10, 20, 30, 40)}
    return (
        *(public(name, "motion blur", "blur", way) for name in ("gopro", "hide", "realblur-j", "realblur-r")),
        public("sots-outdoor", "haze", "haze", CONSTYLE_2_HAZE),
        *(public(name, "rain", "rain", CONSTYLE_2_RAIN) for name in rain),
        *(noisy(name, sigma, way) for name in ("cbsd68", "urban100") for sigma in (15, 25, 50)),
        *(public(name, "low light", "dark", way) for name in ("fivek", "lol-v1", "lol-v2-synthetic")),
        *(public(name, "out of focus", "blur", way) for name in ("dpdd", "realdof")),
        *(public(name, "snow", "snow", way) for name in ("csd", "snow100k-l", "snow100k-m", "snow100k-s")),
        *(
            public("live1", f"JPEG, quality {quality}", "jpeg", way, key=f"live1-{quality}", damage=damage)
            for quality, damage in jpeg.items()
        ),
    )


def local() -> tuple[EvaluationSet, ...]:
    """Small sets that can be kept beside the code: pairs, and damage of our own on two folders of clean pictures."""
    made = {name: _made(name, *made, "cbsd68") for name, made in DAMAGES.items()}
    for name in ("haze", "dark", "snow", "bits", "lowres"):
        made[name] = _made(name, *DAMAGES[name], "kodak24")

    def few(folder: str, printed: str, label: str, degradation: str, count: int) -> EvaluationSet:
        return EvaluationSet(
            name=folder.removeprefix("test_").rsplit("_", 1)[0],
            printed=f"{printed} ({count} pairs)",
            label=label,
            degradation=degradation,
            folders=(Folder(folder, "input/*", PAIRED),),
            expected=count,
        )

    return (
        *(made[name] for name in ("noise-15", "noise-25", "noise-50", "jpeg-20", "jpeg-40", "gaussian", "motion")),
        few("test_rain100h_20", "Rain100H", "rain, heavy", "rain", 20),
        few("test_rain100l_2", "Rain100L", "rain, light", "rain", 2),
        made["rain"],
        few("test_sots_outdoor_2", "SOTS outdoor", "haze", "haze", 2),
        *(made[name] for name in ("haze", "dark")),
        few("test_gopro_3", "GoPro", "motion blur", "blur", 3),
        *(made[name] for name in ("snow", "bits", "lowres")),
        made["clean"],
        _made("clean-kodak24", *DAMAGES["clean"], "kodak24"),
    )


def local_from(folder: Path) -> Suite:
    """Everything that `local` makes, on any folder of clean pictures."""
    whole = folder.resolve()
    sets = tuple(
        EvaluationSet(
            name=name,
            printed=whole.name,
            label=label,
            degradation=degradation,
            folders=(Folder(str(whole)),),
            damage=damage,
            ours=True,
        )
        for name, (degradation, label, damage) in DAMAGES.items()
    )
    return Suite("local", f"Degradations of our own on the pictures of {whole.name}.", sets)


def _made(name: str, degradation: str, label: str, damage: Damage, pictures: str) -> EvaluationSet:
    return public(pictures, label, degradation, Way(("rgb",)), key=name, damage=damage, ours=True)


# By equal names, or by the name before the first `_`, which is RESIDE's way.
PAIRED = ((r"^input/(.*)$", r"target/\1"), (r"^input/([^_/]+)_[^/]*$", r"target/\1"))

DAMAGES: dict[str, tuple[str, str, Damage]] = {
    **{f"noise-{sigma}": ("noise", f"noise, sigma {sigma}", GaussianNoise(sigma)) for sigma in (15, 25, 50)},
    **{f"jpeg-{quality}": ("jpeg", f"JPEG, quality {quality}", JpegFile(quality)) for quality in (20, 40)},
    "gaussian": ("blur", "Gaussian blur, sigma 1.6", Generated("blur", Blur.severity_of(1.6), ROUND)),
    "motion": ("blur", "motion blur, severity 0.4", Generated("blur", 0.4, {"motion": 1, "gaussian": 0, "disc": 0})),
    "rain": ("rain", "rain, severity 0.5", Generated("rain", 0.5)),
    "haze": ("haze", "haze, severity 0.5", Generated("haze", 0.5)),
    "dark": ("dark", "low light, exposure 0.1", Generated("dark", Dark.severity_of(0.1), {"curves": 0})),
    "snow": ("snow", "snow, severity 0.5", Generated("snow", 0.5)),
    "bits": ("bits", "4 bits a channel", Generated("bits", Bits.severity_of(4))),
    "lowres": ("lowres", "halved and enlarged", Enlarged(2)),
    "clean": ("clean", "clean", Unchanged()),
}
"""What `local` does to clean pictures: identifier, label and damage, by name."""

_TABLE: dict[str, tuple[str, Callable[[], tuple[EvaluationSet, ...]]]] = {
    "local": ("A few pairs of public sets, and degradations of our own on CBSD68 and Kodak24.", local),
    "3d": ("Three degradations, as AirNet, PromptIR and ABAIR's Table 2 print them.", three),
    "5d": ("Five degradations, as IDR and ABAIR's Table 1 print them.", five),
    "8d": ("The five, and the three that ABAIR adds adapters for (Table 4, starred rows).", lambda: five() + unseen()),
    "mixed": ("Two degradations at once, ABAIR's Table 5; the sets are our choice.", mixed),
    "unseen": ("Degradations that ABAIR's five-task models never saw, Table 4; the sets are our choice.", unseen),
    "abair-additional": ("Other test sets of known degradations, ABAIR's Table 3.", additional),
    "mioir": ("MiOIR's 19 sets: seven tasks in and out of distribution, five unknown.", mioir),
    "mioir-own": (
        "MiOIR's 14 sets with its degradations, as 'unveil prepare mioir' makes them of own pictures.",
        mioir_own,
    ),
    "mioir-local": ("MiOIR's 14 sets with its degradations, made of Kodak24.", mioir_local),
    "constyle": (
        "ConStyle's 19 benchmarks: 13 sets, those with noise counting twice there, for models of one sigma and for "
        "blind ones; padded to multiples of 8 as its first version does.",
        constyle,
    ),
    "constyle-v2": ("ConStyle v2's 29 benchmarks, cut to multiples of 32 as its code does.", constyle_v2),
}

SUITES: dict[str, Suite] = {name: Suite(name, summary, sets()) for name, (summary, sets) in _TABLE.items()}
