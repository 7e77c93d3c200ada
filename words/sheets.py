"""Contact sheets: many small images with captions in one picture."""
import cv2
import numpy as np


def contact_sheet(rows, columns: int = 6, scale: int = 2) -> np.ndarray:
    """A picture of labelled images, uint8 [H, W]: `rows` is a list of (images, caption), images float [W, H, 1] each."""
    tiles = []
    for images, caption in rows:
        shown = [cv2.resize(np.uint8(np.clip(205 - 205 * image[..., 0].T, 0, 255)), None, fx=scale, fy=scale,
                            interpolation=cv2.INTER_NEAREST) for image in images]
        shown = [cv2.copyMakeBorder(image, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=128) for image in shown]
        label = np.full((20, shown[0].shape[1]), 255, np.uint8)
        cv2.putText(label, caption.encode("ascii", "replace").decode(), (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 0, 1,
                    cv2.LINE_AA)
        tiles.append(np.vstack([*shown, label]))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[k:k + columns]) for k in range(0, len(tiles), columns)])
