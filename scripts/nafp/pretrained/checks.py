"""What of a pretrained model can be refused before anything runs. Without PyTorch."""

from collections.abc import Collection, Mapping
from pathlib import Path

from nafp.errors import UserError
from nafp.shipped import weights_file


def check_licence(name: str, options: Mapping, accepted: Collection[str]) -> None:
    """Refuse weights whose licence the user has not accepted by name."""
    licence = options.get("licence")
    if licence and licence not in accepted:
        source = (
            f"https://zenodo.org/records/{options['record']}" if "record" in options else options.get("archive", "")
        )
        raise UserError(
            f"pretrained {name}: these weights are under {licence} ({source}); if you accept that, say so: "
            f"--config accept_licence={licence}"
        )


def check_source(name: str, options: Mapping) -> None:
    """Refuse a description that says nowhere to take the weights from, or a file that is not there."""
    given = [key for key in ("weights", "checkpoint", "archive", "record") if key in options]
    if not given:
        raise UserError(
            f"pretrained {name}: say where they are: weights (a .safetensors file), checkpoint (its prefix, folder/ckpt-N), "
            "archive, or record"
        )
    if "weights" in options:
        if meaningless := sorted({"features", "md5"} & options.keys()):
            raise UserError(
                f"pretrained {name}: {' and '.join(meaningless)} cannot be given with weights, a file that says its own settings"
            )
        try:
            weights_file(options["weights"])
        except UserError as error:
            raise UserError(f"pretrained {name}: {error}") from None
    if "checkpoint" in options and not Path(f"{options['checkpoint']}.index").is_file():
        raise UserError(
            f"pretrained {name}: {options['checkpoint']}.index is not there; name a checkpoint by its prefix, folder/ckpt-N"
        )
    if "archive" in options and not Path(options["archive"]).is_file():
        raise UserError(f"pretrained {name}: {options['archive']} is not there")
    if "record" in options and "md5" not in options:
        raise UserError(
            f"pretrained {name}: md5 is missing, by which the file of record {options['record']} is found and checked"
        )
