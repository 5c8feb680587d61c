"""A shop for prints, in Flask: it makes an order's thumbnails while the customer waits.

JOBQUEUE_DATABASE=sqlite:///shop.db gunicorn --bind 127.0.0.1:8000 flask_thumbnails:app
"""

import io
import os

from flask import Flask, request
from PIL import Image, ImageFilter
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Flask(__name__)
engine = create_engine(os.environ["JOBQUEUE_DATABASE"])
PHOTO = Image.effect_noise((4500, 3000), 80).convert("RGB")  # stands for the one that a customer uploads
WIDTHS = (2400, 1200, 600, 300)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    smallest: Mapped[bytes | None]


Base.metadata.create_all(engine)


def make_thumbnails(order_id):
    files = []
    for width in WIDTHS:
        scaled = PHOTO.resize((width, width * 2 // 3), Image.Resampling.LANCZOS)
        files.append(io.BytesIO())
        scaled.filter(ImageFilter.UnsharpMask()).save(files[-1], "JPEG", quality=90)
    with Session(engine) as session, session.begin():
        session.get_one(Order, order_id).smallest = files[-1].getvalue()


@app.get("/")
def index():
    return {"prints": ["10 x 15 cm", "20 x 30 cm"]}


@app.post("/orders")
def create():
    with Session(engine, expire_on_commit=False) as session:
        session.add(order := Order(customer=request.json["customer"]))
        session.commit()
    make_thumbnails(order.id)
    return {"id": order.id}, 201


@app.get("/orders/<int:id>")
def show(id):
    with Session(engine) as session:
        return {"done": session.get_one(Order, id).smallest is not None}
