"""words/models.py: model folders found, read, refused."""
import pytest
from samples import write

from command import UserError
from words.models import find_model, load_config


def test_a_model_is_found_by_folder_file_or_the_names_of_2018(tmp_path):
    for name in ("config.json", "final.weights.h5", "checkpoint.weights.h5"):
        write(tmp_path / name, "{}")
    final, checkpoint = tmp_path / "final.weights.h5", tmp_path / "checkpoint.weights.h5"
    for given, weights in ((tmp_path, final), (final, final), (tmp_path / "final_weights.h5", final),
                           (checkpoint, checkpoint), (str(tmp_path / "checkpoint_weights.h5"), checkpoint)):
        assert find_model(given) == (tmp_path, weights)


def test_models_that_are_not_there_or_broken_are_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="no config.json"):
        find_model(tmp_path)
    for content in ("", "[]", "{}", '{"network": 3, "alphabet": "ab"}', '{"network": {}}'):
        write(tmp_path / "config.json", content)
        with pytest.raises(UserError, match="config.json"):
            load_config(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        find_model(tmp_path)
